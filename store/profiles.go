package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

const (
	profileTries = 5           // after these nobody asks any more: the customer keeps his id for a name
	profileWait  = time.Minute // before the second try; each further one waits four times as long as the one before
)

// ClaimProfiles gives this caller alone the turn to ask for the names of some customers who came without one, on the Active channels
// of these kinds. Who is claimed is asked for again later unless NoteProfile says otherwise.
func (s *Store) ClaimProfiles(ctx context.Context, kinds []string, limit int) ([]Identity, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	serving := s.db.NewSelect().Model((*Channel)(nil)).Column("id").Where("ch.kind IN (?)", bun.List(kinds)).Where("ch.state = ?", chat.ChannelActive)
	due := s.d.skipLocked(s.db.NewSelect().Model((*Identity)(nil)).Column("id").Where("i.channel_id IN (?)", serving).Where("i.profile_at <= ?", s.d.now()).Limit(limit))
	var claimed []Identity
	err := s.db.NewUpdate().Model((*Identity)(nil)).
		Set("profile_at = CASE WHEN profile_tries < ? THEN ? + (CAST(? AS bigint) << (2 * profile_tries)) END", profileTries-1, s.d.now(), profileWait.Microseconds()).
		Set("profile_tries = profile_tries + 1").Where("id IN (?)", due).Returning("*").Scan(ctx, &claimed)
	if err != nil {
		return nil, fmt.Errorf("claim customers without a name: %w", err)
	}
	return claimed, nil
}

// NoteProfile keeps what the messenger told about a customer, and asks no more. A name becomes that of his contact too, as long as
// that one has none of its own; the CRM learns it with his chats, which are returned.
func (s *Store) NoteProfile(ctx context.Context, who *Identity, u channels.User) (chats []uuid.UUID, err error) {
	name := chat.Storable(u.Name)
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		chats = nil
		q := tx.NewUpdate().Model((*Identity)(nil)).Set("profile_at = NULL").Where("environment_id = ?", who.EnvironmentID).Where("id = ?", who.ID)
		if name != "" {
			q = q.Set("name = ?", name)
		}
		if _, err := q.Exec(ctx); err != nil || name == "" {
			return err
		}
		_, err := tx.NewUpdate().Model((*Contact)(nil)).Set("name = ?", name).
			Where("environment_id = ?", who.EnvironmentID).Where("id = ?", who.ContactID).Where("name = ?", who.ExternalID).Exec(ctx)
		if err != nil {
			return err
		}
		const his = "environment_id = ? AND identity_id = ?"
		err = s.setOnChats(ctx, tx, s.pushes, his, who.EnvironmentID, who.ID)
		if err != nil {
			return err
		}
		return tx.NewSelect().Model((*Chat)(nil)).Column("id").Where(his, who.EnvironmentID, who.ID).Scan(ctx, &chats)
	})
	if err != nil {
		return nil, fmt.Errorf("keep the name of customer %s: %w", who.ID, err)
	}
	return chats, nil
}
