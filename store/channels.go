package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// AccountTakenError is the ErrConflict of an account that is in another channel of this installation (S2.9, b43).
type AccountTakenError struct {
	Foreign bool   // in another environment: nothing more is told
	Channel string // the channel's name
	Queue   string // its queue's (live chat's) name; empty: it has none
}

func (e *AccountTakenError) Error() string {
	if e.Foreign {
		return "the account is connected elsewhere in this installation"
	}
	return fmt.Sprintf("the account is connected in channel %q", e.Channel)
}

// Is makes it an ErrConflict.
func (e *AccountTakenError) Is(target error) bool { return target == ErrConflict }

// ErrHasChats is the ErrConflict of a channel that cannot be deleted any more (S3.28).
var ErrHasChats = fmt.Errorf("a channel with at least one integrated chat cannot be deleted: %w", ErrConflict)

// ChannelSecrets is what a channel keeps encrypted.
type ChannelSecrets struct {
	Fields     map[string]string `json:"fields"`
	HookSecret string            `json:"hook_secret"`
}

// SealSecrets encrypts a channel's secrets for the row with this id, and for it alone.
func (s *Store) SealSecrets(channel uuid.UUID, secrets ChannelSecrets) ([]byte, error) {
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("seal the secrets of channel %s: %w", channel, err)
	}
	sealed, err := s.sealer.Seal(plain, channel.String())
	if err != nil {
		return nil, fmt.Errorf("seal the secrets of channel %s: %w", channel, err)
	}
	return sealed, nil
}

// OpenSecrets decrypts a channel's secrets.
func (s *Store) OpenSecrets(ch *Channel) (ChannelSecrets, error) {
	var secrets ChannelSecrets
	plain, err := s.sealer.Open(ch.Secrets, ch.ID.String())
	if err != nil {
		return secrets, fmt.Errorf("open the secrets of channel %s: %w", ch.ID, err)
	}
	if err := json.Unmarshal(plain, &secrets); err != nil {
		// The cause would quote what was decrypted.
		return secrets, fmt.Errorf("open the secrets of channel %s: they are not readable", ch.ID)
	}
	return secrets, nil
}

// Channel reads one channel of an environment.
func (s *Store) Channel(ctx context.Context, environment, id uuid.UUID) (*Channel, error) {
	ch := new(Channel)
	err := s.read.NewSelect().Model(ch).Where("ch.environment_id = ?", environment).Where("ch.id = ?", id).Scan(ctx)
	return ch, one(err, "channel "+id.String())
}

// ChannelOfHook reads the channel a webhook is addressed to, whatever its environment: who calls is proven by the
// messenger's own means.
func (s *Store) ChannelOfHook(ctx context.Context, kind string, id uuid.UUID) (*Channel, error) {
	ch := new(Channel)
	err := s.read.NewSelect().Model(ch).Where("ch.id = ?", id).Where("ch.kind = ?", kind).Scan(ctx)
	return ch, one(err, kind+" channel "+id.String())
}

// ChannelOfAccount finds the channel of this environment that an account of the messenger is connected by.
func (s *Store) ChannelOfAccount(ctx context.Context, environment uuid.UUID, kind, account string) (uuid.UUID, error) {
	ch := new(Channel)
	err := s.read.NewSelect().Model(ch).Column("id").Where("ch.environment_id = ?", environment).Where("ch.kind = ?", kind).
		Where("ch.account_id = ?", account).Scan(ctx)
	return ch.ID, one(err, "channel of a "+kind+" account")
}

// PublicURL returns an environment's own public address of ours; empty where the installation's is to be used.
func (s *Store) PublicURL(ctx context.Context, environment uuid.UUID) (string, error) {
	e := new(Environment)
	err := s.read.NewSelect().Model(e).Column("public_url").Where("id = ?", environment).Scan(ctx)
	return e.PublicURL, one(err, "environment "+environment.String())
}

// ListChannels returns a page of an environment's channels by name, those of one queue if it is given, and the next cursor.
func (s *Store) ListChannels(ctx context.Context, environment uuid.UUID, queue uuid.UUID, p Page) ([]Channel, string, error) {
	rows := []Channel{}
	q := s.read.NewSelect().Model(&rows).Where("ch.environment_id = ?", environment)
	if queue != uuid.Nil {
		q = q.Where("ch.queue_id = ?", queue)
	}
	q, err := byName(q, "ch", p)
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("list channels: %w", err)
	}
	rows, next := cutByName(rows, p, func(ch Channel) (string, uuid.UUID) { return ch.Name, ch.ID })
	return rows, next, nil
}

// WebhookChannels returns the names of the Active channels whose messengers deliver to our public address.
func (s *Store) WebhookChannels(ctx context.Context, environment uuid.UUID) ([]string, error) {
	var names []string
	err := s.read.NewSelect().Model((*Channel)(nil)).Column("name").Where("ch.environment_id = ?", environment).
		Where("ch.state = ?", chat.ChannelActive).Where("ch.receive = ?", "webhook").Order("name").Scan(ctx, &names)
	if err != nil {
		return nil, fmt.Errorf("list the channels with a webhook: %w", err)
	}
	return names, nil
}

// OtherWebhookChannels returns the other Active channels of a channel's kind and environment whose messenger delivers to us.
func (s *Store) OtherWebhookChannels(ctx context.Context, ch *Channel) ([]Channel, error) {
	var others []Channel
	err := s.read.NewSelect().Model(&others).Where("ch.environment_id = ?", ch.EnvironmentID).Where("ch.kind = ?", ch.Kind).Where("ch.id <> ?", ch.ID).
		Where("ch.state = ?", chat.ChannelActive).Where("ch.receive = ?", "webhook").OrderExpr("ch.id").Scan(ctx, &others)
	if err != nil {
		return nil, fmt.Errorf("list the channels beside channel %s: %w", ch.ID, err)
	}
	return others, nil
}

// CreateChannel adds a channel, whose ID, secrets and state are set. It returns the id of the channel, which in a replay is
// the first request's. An account that another channel has is an *AccountTakenError, a queue that is not there ErrNotFound.
func (s *Store) CreateChannel(ctx context.Context, ch *Channel, i Idem) (id uuid.UUID, replayed bool, err error) {
	id, replayed, err = idempotent(ctx, s, ch.EnvironmentID, i, func(ctx context.Context, tx bun.Tx) (uuid.UUID, error) {
		now, err := s.now(ctx, tx)
		if err != nil {
			return uuid.Nil, err
		}
		if err := queueExists(ctx, tx, ch.EnvironmentID, ch.QueueID); err != nil {
			return uuid.Nil, err
		}
		ch.CreatedAt, ch.Version = At(now), 1
		ch.ReceivingSince, ch.SendingSince = At(now), At(now)
		unmoved, err := s.unmoved(ctx, tx)
		if err != nil {
			return uuid.Nil, err
		}
		ch.CheckAt = At(unmoved.Add(connecting))
		if ch.State == chat.ChannelActive {
			ch.ConnectedAt = At(unmoved)
		}
		if _, err := tx.NewInsert().Model(ch).Exec(ctx); err != nil {
			return uuid.Nil, fmt.Errorf("add channel %q: %w", ch.Name, err)
		}
		return ch.ID, nil
	})
	if s.d.duplicate(err) {
		return uuid.Nil, false, s.accountTaken(ctx, ch, err)
	}
	return id, replayed, err
}

// accountTaken says who has the account that a UNIQUE index refused.
func (s *Store) accountTaken(ctx context.Context, ch *Channel, refused error) error {
	holder := new(Channel)
	err := s.read.NewSelect().Model(holder).Where("ch.kind = ?", ch.Kind).Where("ch.account_id = ?", ch.AccountID).Where("ch.id <> ?", ch.ID).Scan(ctx)
	if err != nil {
		return fmt.Errorf("find the channel that has the account: %w", errors.Join(err, refused))
	}
	if holder.EnvironmentID != ch.EnvironmentID {
		return &AccountTakenError{Foreign: true}
	}
	taken := &AccountTakenError{Channel: holder.Name}
	if holder.QueueID != uuid.Nil {
		q, err := s.Queue(ctx, ch.EnvironmentID, holder.QueueID)
		if err != nil {
			return err
		}
		taken.Queue = q.Name
	}
	return taken
}

// queueExists makes sure that a queue can be given to something; no queue can.
func queueExists(ctx context.Context, tx bun.Tx, environment, queue uuid.UUID) error {
	if queue == uuid.Nil {
		return nil
	}
	found, err := tx.NewSelect().Model((*Queue)(nil)).Where("environment_id = ?", environment).Where("id = ?", queue).Where("deleted_at IS NULL").Exists(ctx)
	if err == nil && !found {
		err = fmt.Errorf("queue %s: %w", queue, ErrNotFound)
	}
	return err
}

// DiscardChannel takes back a channel that could not be connected when it was added, with its idempotency key, so that the
// request may come again. A channel that has taken a message meanwhile stays, Disconnected.
func (s *Store) DiscardChannel(ctx context.Context, environment, id uuid.UUID, i Idem) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		// From here on nothing is taken in for it.
		_, err := tx.NewUpdate().Model((*Channel)(nil)).Set("state = ?", chat.ChannelDisconnected).Set("version = version + 1").
			Where("environment_id = ?", environment).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("take channel %s back: %w", id, err)
		}
		if i.Key != "" {
			_, err = tx.NewDelete().Model((*idempotencyKey)(nil)).Where("environment_id = ?", environment).
				Where("operation = ?", i.Operation).Where("key = ?", i.Key).Exec(ctx)
			if err != nil {
				return fmt.Errorf("take channel %s back: %w", id, err)
			}
		}
		err = s.deleteChannel(ctx, tx, environment, id)
		if errors.Is(err, ErrHasChats) {
			return nil
		}
		return err
	})
}

// DeleteChannel deletes a channel without chats; with one it is ErrHasChats (b37).
func (s *Store) DeleteChannel(ctx context.Context, environment, id uuid.UUID) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error { return s.deleteChannel(ctx, tx, environment, id) })
}

func (s *Store) deleteChannel(ctx context.Context, tx bun.Tx, environment, id uuid.UUID) error {
	// Receive reads the channel's row without a lock: a state other than active, committed before, keeps it away.
	ch := new(Channel)
	err := s.d.forUpdate(tx.NewSelect().Model(ch).Where("ch.environment_id = ?", environment).Where("ch.id = ?", id)).Scan(ctx)
	if err != nil {
		return one(err, "channel "+id.String())
	}
	used, err := tx.NewSelect().Model((*Chat)(nil)).Where("environment_id = ?", environment).Where("channel_id = ?", id).Exists(ctx)
	if err != nil {
		return fmt.Errorf("delete channel %s: %w", id, err)
	}
	if used {
		return ErrHasChats
	}
	if _, err := tx.NewDelete().Model((*Failure)(nil)).Where("environment_id = ?", environment).Where("channel_id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("delete channel %s: %w", id, err)
	}
	if _, err := tx.NewDelete().Model(ch).WherePK().Where("environment_id = ?", environment).Exec(ctx); err != nil {
		return fmt.Errorf("delete channel %s: %w", id, err)
	}
	return nil
}

// ChannelUse is what was delivered for a channel without becoming a row.
type ChannelUse struct {
	Channel  uuid.UUID
	Received bool  // something came while it was active
	Dropped  int64 // while it was not
	Ignored  int64 // of no use to Waggle
}

// NoteChannelUse adds to the channels' counters.
func (s *Store) NoteChannelUse(ctx context.Context, uses []ChannelUse) error {
	// One order for every process, so that two of them never wait for each other.
	slices.SortFunc(uses, func(a, b ChannelUse) int { return slices.Compare(a.Channel[:], b.Channel[:]) })
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		for _, u := range uses {
			q := tx.NewUpdate().Model((*Channel)(nil)).Set("dropped = dropped + ?", u.Dropped).Set("ignored = ignored + ?", u.Ignored).Where("id = ?", u.Channel)
			if u.Received {
				q = q.Set("last_inbound_at = ?", At(now))
			}
			if _, err := q.Exec(ctx); err != nil {
				return fmt.Errorf("count what came for channel %s: %w", u.Channel, err)
			}
		}
		return nil
	})
}
