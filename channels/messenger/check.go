package messenger

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"waggle/channels"
)

// Check asks Facebook whether the page still reports to the app, and whether its token still lets the app write (S3.36). Whether
// the app's webhook leads to us only the app's own settings at Meta tell.
func (a *Adapter) Check(ctx context.Context, ch channels.Channel) (channels.Checkup, error) {
	t, err := a.inspect(ctx, app{id: ch.Fields[FieldApp], secret: ch.Fields[FieldAppSecret]}, ch.Fields[FieldToken])
	if err != nil {
		return channels.Checkup{}, err
	}
	if bad := t.refusal(ch); bad != nil {
		// What the page was subscribed to still comes in (S3.36); nothing can be asked with such a token.
		return channels.Checkup{CannotSend: sentence(bad.Reason)}, nil //nolint:nilerr // the refusal is what was asked for
	}
	q, bad := a.call(ch, http.MethodGet, "/subscribed_apps")
	if bad != nil {
		return channels.Checkup{}, bad
	}
	var apps struct {
		Data []struct {
			ID     id       `json:"id"`
			Fields []string `json:"subscribed_fields"`
		} `json:"data"`
	}
	if fail := a.api.do(ctx, q, &apps); fail != nil {
		return channels.Checkup{}, setupError(fail)
	}
	for _, found := range apps.Data {
		if string(found.ID) == ch.Fields[FieldApp] && slices.Contains(found.Fields, "messages") {
			return channels.Checkup{}, nil
		}
	}
	return channels.Checkup{Wrong: "The page no longer reports its messages to the app. Connect the channel again."}, nil
}

// sentence makes a reason one.
func sentence(reason string) string {
	return strings.ToUpper(reason[:1]) + reason[1:] + "."
}
