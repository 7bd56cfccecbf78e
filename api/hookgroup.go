package api

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

// otherAccount is what a delivery for an account that no channel of ours has is counted as.
const otherAccount = "other_account"

// hookDelivery is what a request brought for one channel.
type hookDelivery struct {
	row  *store.Channel
	what channels.Delivery
}

// readGroup reads a request to the webhook that several channels of one app share, each account's part by the credentials of its
// own channel. While the addressed channel has no account, all is its own. What is for none of our channels is counted at the
// addressed one: refused, it would be repeated for ever, and what is good beside it too.
func (s *Server) readGroup(ctx context.Context, a channels.Adapter, g channels.Group, kind string, id uuid.UUID, r channels.Request) ([]hookDelivery, error) {
	h, parts, err := readAs(ctx, s, kind, id, func(ch channels.Channel) (map[string]channels.Request, error) { return g.Accounts(ctx, ch, r) })
	if err != nil {
		return nil, err
	}
	own := hookDelivery{row: h.row}
	if h.row.AccountID == "" {
		parts = map[string]channels.Request{"": r}
	}
	if part, is := parts[h.row.AccountID]; is {
		if own.what, err = a.Webhook(ctx, h.view, part); err != nil {
			return nil, err
		}
		delete(parts, h.row.AccountID)
	}
	all, unknown := []hookDelivery{own}, 0
	for _, account := range slices.Sorted(maps.Keys(parts)) {
		other, err := s.readPart(ctx, a, h.row, account, parts[account])
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, channels.ErrUnauthorized):
			unknown++
		case err != nil:
			return nil, err
		default:
			all = append(all, other)
		}
	}
	if unknown > 0 {
		all = append(all, hookDelivery{h.row, channels.Delivery{Ignored: map[string]int{otherAccount: unknown}}})
	}
	return all, nil
}

// readPart reads what is for another account of the app by that account's channel, which is one of the same environment. It is
// authenticated once more: a channel with another secret is none of this app's.
func (s *Server) readPart(ctx context.Context, a channels.Adapter, addressed *store.Channel, account string, part channels.Request) (hookDelivery, error) {
	id, err := s.Store.ChannelOfAccount(ctx, addressed.EnvironmentID, addressed.Kind, account)
	if err != nil {
		return hookDelivery{}, err
	}
	h, d, err := readAs(ctx, s, addressed.Kind, id, func(ch channels.Channel) (channels.Delivery, error) { return a.Webhook(ctx, ch, part) })
	return hookDelivery{h.row, d}, err
}
