package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"waggle/api/client"
	"waggle/api/gen"
	"waggle/channels/telegram"
	"waggle/channels/telegram/telegramtest"
	"waggle/crm/creatio/creatiotest"
)

// Tenant is one more environment of an installation, as another company has it: with a CRM and a Telegram bot of its own.
// Chats are switched on; nobody serves them.
type Tenant struct {
	API client.Client // with the API key
	CRM *creatiotest.Server
	Bot *telegramtest.Bot
}

// tenantsAtOnce are made side by side: each takes a process of its own for its key.
const tenantsAtOnce = 4

// Tenants adds n environments.
func (in *Installation) Tenants(ctx context.Context, n int) ([]*Tenant, error) {
	tenants := make([]*Tenant, n)
	for i := range tenants {
		crm := creatiotest.New(creatiotest.Options{Framework: true, ClientID: oauthClient, ClientSecret: oauthSecret})
		in.closers = append(in.closers, crm.Close)
		tenants[i] = &Tenant{CRM: crm, Bot: in.Telegram.AddBot(tenantToken(i), fmt.Sprint("tenant_", i, "_bot"))}
	}
	faults := make([]error, n)
	var settling sync.WaitGroup
	for first := range tenantsAtOnce {
		settling.Go(func() {
			for i := first; i < n; i += tenantsAtOnce {
				faults[i] = in.settle(ctx, tenants[i], tenantToken(i))
			}
		})
	}
	settling.Wait()
	return tenants, errors.Join(faults...)
}

func tenantToken(i int) string {
	return fmt.Sprintf("%d:AAFtenant-tenant-tenant-tenant-tenant", 7_100_000_000+i)
}

// settle walks the wizard and connects the bot.
func (in *Installation) settle(ctx context.Context, t *Tenant, bot string) error {
	secret, err := in.command(ctx, "keys", "issue", "--company", t.Bot.Username)
	if err != nil {
		return err
	}
	if t.API, err = wizard(ctx, client.New("http://"+in.Front.Addr).As(secret), t.CRM); err != nil {
		return err
	}
	_, err = connected(ctx, t.API, gen.ChannelInput{Kind: "telegram", Name: "Telegram bot", Fields: map[string]string{telegram.FieldToken: bot}})
	return err
}
