package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/crm/creatio/creatiotest"
	"waggle/store"
)

const day = 24 * time.Hour

// extend does what the operator does with waggle keys extend, for the key requested by this e-mail.
func (p *place) extend(email string, days int) {
	p.t.Helper()
	p.keys(func(ctx context.Context, s *store.Store) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		now, err := s.Now(ctx)
		if err != nil {
			return err
		}
		id := uuid.Nil
		for _, k := range keys {
			if k.Email == email {
				id = k.ID
			}
		}
		_, err = s.ExtendKey(ctx, id, now.Add(time.Duration(days)*day))
		return err
	})
}

func TestS0_9_ARequestedTokenIsValidForTwoWeeks(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		grant := p.requestKey("it@honey.example")
		p.secretKey, p.api = grant.SecretKey, p.api.As(grant.SecretKey)
		p.wizard(10, 0)
		p.staff("Ann")
		p.card("Ann", body{"max_load": 100})
		early := p.silent("Carl", "Ann")
		p.patch("/configuration", body{"close_chats_without_messages": false}, nil)

		now := p.advance(0)
		p.advance(grant.ExpiresAt.Sub(now) - time.Hour) // 13 days and 23 hours
		p.given(p.writes("Dora", "On the last day").ID, "Ann")
		var c gen.Configuration
		p.get("/configuration", &c)
		require.Contains(t, codes(c.Warnings), "secret_key_expires_soon", "S0.10")

		p.advance(time.Hour)
		held := p.writes("Eve", "Too late")
		require.Equal(t, gen.ChatStatusHeld, held.Status)
		require.Contains(t, *held.HeldReason, "expired", "the reason names the expiry")
		require.Contains(t, *held.HeldReason, vendor, "S0.10 and the contact")
		p.get("/configuration", &c)
		require.Contains(t, codes(c.Warnings), "secret_key_expired")
		require.Equal(t, vendor, *c.SecretKey.RenewalContact, "S0.10")
		p.stays("it is not routed", func() bool { return p.holder(held.ID) == "" })
		p.refused(p.as("Ann"), "GET", "/chats/"+held.ID.String(), nil, 404)
		p.replies("Ann", p.writes("Carl", "An open dialogue goes on").ID, "It does.")
		p.patch("/configuration", body{"close_chats_without_messages": true}, nil)
		p.advance(10 * time.Minute)
		p.closed(early.ID)
		p.crmRow(early.ID, "an expired key does not keep chats from closing", func(r creatiotest.Row) bool {
			return r["StatusId"] == creatiotest.StatusCompleted
		})
		require.Nil(t, p.crm.Row("OmniChat", held.ID.String()), "what is held is not in the CRM")

		p.extend("it@honey.example", 30)
		p.given(held.ID, "Ann")
		p.crmRow(held.ID, "what was held is there", func(creatiotest.Row) bool { return true })
		p.until("with its message", func() bool { return len(p.crm.Messages(held.ID.String())) == 1 })
		p.get("/configuration", &c)
		require.NotContains(t, codes(c.Warnings), "secret_key_expired")
	})
}

func TestS1_19_AnExpiredKeyDoesNotKeepChatsFromClosingAfterTheMonth(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		grant := p.requestKey("it@honey.example")
		p.secretKey, p.api = grant.SecretKey, p.api.As(grant.SecretKey)
		p.step1()
		p.staff("Ann")
		p.status("Ann", gen.AgentStatusOffline)
		before := p.writes("Carl", "Hello?")
		p.advance(15 * day)
		held := p.writes("Dora", "Hello?")
		require.Equal(t, gen.ChatStatusHeld, held.Status)
		p.advance(17 * day)
		p.closed(before.ID)
		p.crmRow(before.ID, "it is completed", func(r creatiotest.Row) bool { return r["StatusId"] == creatiotest.StatusCompleted })
		p.stays("S1.18 the younger one is open", p.isOpen(held))
		p.advance(15 * day)
		p.closed(held.ID)
	})
}
