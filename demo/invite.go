package demo

import (
	"context"
	"fmt"
	"io"
)

// invite prints what a visitor may try while the demo stays up.
func (t *town) invite(ctx context.Context, out io.Writer) error {
	for _, name := range []string{"Ben", "Carla"} {
		if err := t.signIn(ctx, name); err != nil {
			return err
		}
	}
	base := t.server.Base
	fmt.Fprintf(out, `
Waggle stays up until Ctrl-C.

  API               %[1]s/api/v1        reference: %[1]s/docs
  API key           %[2]s
  secret key        %[3]s
  Ben's session     %[4]s
  Telegram double   %[5]s
  Creatio double    %[6]s/0            user %[7]s, password %[8]s
  own messenger     %[9]s              confirmation code “%[10]s”

Try:
  curl -H 'Authorization: Bearer %[2]s' %[1]s/api/v1/chats
  curl -H 'Authorization: Bearer %[2]s' %[1]s/api/v1/agents
  curl -H 'Authorization: Bearer %[2]s' %[1]s/api/v1/processes
  curl -N '%[1]s/api/v1/events?token=%[4]s'
  curl -X POST %[1]s/demo/clock -H 'Content-Type: application/json' -d '{"advance":"5m"}'
`, base, t.apiKey, t.secretKey, t.agents["Ben"].api.Token, t.telegram.URL, t.crm.URL(), adminLogin, adminPassword, t.messenger.WebhookURL(), messengerCode)
	return t.newCustomer(ctx, out)
}

// newCustomer lets somebody write, so that there is a chat to answer, and prints how.
func (t *town) newCustomer(ctx context.Context, out io.Writer) error {
	fay := onTelegram(t.bot.Customer(5551009, "Fay"), "Fay")
	_, chat, err := t.writes(ctx, fay, "Hi! Is anybody there?")
	if err != nil {
		return err
	}
	name, err := t.given(ctx, &chat, "")
	if err != nil {
		return err
	}
	a := t.agents[name]
	fmt.Fprintf(out, `
%[1]s has Fay's chat. Answer her:
  curl -X POST %[2]s/api/v1/chats/%[3]s/messages -H 'Authorization: Bearer %[4]s' -H 'Content-Type: application/json' -d '{"text":"Good day, Fay!"}'
`, a.name, t.server.Base, chat.ID, a.api.Token)
	return nil
}
