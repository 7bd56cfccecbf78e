package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
)

// StoredFile is an attachment of a message with the channel that can open it.
type StoredFile struct {
	channels.Attachment
	ChatID  uuid.UUID
	Channel Channel
}

// File finds the attachment with this index (from 0) of an environment's message.
func (s *Store) File(ctx context.Context, environment, message uuid.UUID, index int) (*StoredFile, error) {
	e := new(Entry)
	err := s.read.NewSelect().Model(e).Where("t.environment_id = ?", environment).Where("t.id = ?", message).Where("t.kind = ?", chat.EntryMessage).Scan(ctx)
	if err != nil {
		return nil, one(err, "message "+message.String())
	}
	if index < 0 || index >= len(e.Attachments) || e.Attachments[index].Ref == "" {
		return nil, fmt.Errorf("attachment %d of message %s: %w", index, message, ErrNotFound)
	}
	ch, err := s.Channel(ctx, environment, e.ChannelID)
	if err != nil {
		return nil, err
	}
	return &StoredFile{Attachment: e.Attachments[index], ChatID: e.ChatID, Channel: *ch}, nil
}
