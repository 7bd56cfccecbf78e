package messenger

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"waggle/channels"
)

// Profile asks for a customer's name. Facebook refuses it for some people for good (wire/messenger.md §6): then the User is
// empty and there is no error. An error means that asking again may help; nobody's message waits for it.
func (a *Adapter) Profile(ctx context.Context, ch channels.Channel, userID string) (channels.User, error) {
	q, bad := a.call(ch, http.MethodGet, "")
	if bad != nil {
		return channels.User{}, bad
	}
	if !idShape.MatchString(userID) {
		return channels.User{}, nil
	}
	q.path, q.params = "/"+userID, url.Values{"fields": {"first_name,last_name,name"}}
	var p struct {
		First string `json:"first_name"`
		Last  string `json:"last_name"`
		Name  string `json:"name"`
	}
	if fail := a.api.do(ctx, q, &p); fail != nil {
		if e := repeatable(fail); e.Outcome != channels.Permanent && fail.code.code != 10 && fail.code.code != 200 {
			return channels.User{}, e
		}
		return channels.User{}, nil
	}
	name := strings.TrimSpace(p.First + " " + p.Last)
	if name == "" {
		name = strings.TrimSpace(p.Name)
	}
	if name == "" {
		return channels.User{}, nil
	}
	return channels.User{ID: userID, Name: name}, nil
}
