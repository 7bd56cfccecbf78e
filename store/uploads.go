package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/channels"
	"waggle/chat"
)

// keepUnsent is how long an upload waits to be sent.
const keepUnsent = 24 * time.Hour

// keepUnfinished is how long the room of an upload is kept that never comes to its end: longer than an upload may take.
const keepUnfinished = 15 * time.Minute

// MaxUnsent is how much an environment may have uploaded and not sent, in bytes: whoever only uploads fills no disk.
const MaxUnsent = 1 << 30

// ErrFiles are files that cannot be sent with a message.
var ErrFiles = errors.New("files names a file that was not uploaded to this chat, or that has been sent")

// ErrUnsent is an upload for which there is no room in MaxUnsent.
var ErrUnsent = errors.New("too much was uploaded and not sent")

// AddFile writes down a file that an agent is about to upload to a chat: environment, chat, channel and name are given, and as size
// the most that it can have, for which room is kept: ErrUnsent where there is none. Unless it is there whole
// and sent, it is due to be forgotten: while it comes after minutes, then after a day.
func (s *Store) AddFile(ctx context.Context, f *StoredFile) error {
	f.ID, f.State, f.Kind, f.Name = newID(), chat.FileWaiting, "document", chat.Storable(f.Name)
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := s.lockEnvironment(ctx, tx, f.EnvironmentID); err != nil { // two uploads do not take the same room
			return err
		}
		unsent, err := s.unsentBytes(ctx, tx, f.EnvironmentID)
		if err != nil {
			return err
		}
		if unsent+f.Size > MaxUnsent {
			return ErrUnsent
		}
		now, err := s.now(ctx, tx)
		if err != nil {
			return err
		}
		f.CreatedAt = At(now)
		_, err = tx.NewInsert().Model(f).Value("due_at", "? + ?", s.d.now(), keepUnfinished.Microseconds()).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("write an upload to chat %s: %w", f.ChatID, err)
	}
	return nil
}

// unsentBytes is the room that an environment's uploads take until they are sent or forgotten.
func (s *Store) unsentBytes(ctx context.Context, tx bun.Tx, environment uuid.UUID) (n int64, err error) {
	err = tx.NewSelect().Model((*StoredFile)(nil)).ColumnExpr("CAST(coalesce(sum(fi.size), 0) AS bigint)").
		Where("fi.environment_id = ?", environment).Where("fi.due_at > ?", s.d.now()).Where("fi.entry_id IS NULL").Scan(ctx, &n)
	return n, err
}

// FileUploaded notes that a file is there whole, and what it is. ErrConflict: it was forgotten meanwhile.
func (s *Store) FileUploaded(ctx context.Context, f *StoredFile) error {
	mine, err := changed(s.ownFile(f).Set("state = ?", f.State).Set("kind = ?", f.Kind).Set("mime = ?", f.MIME).Set("size = ?", f.Size).
		Set("due_at = ? + ?", s.d.now(), keepUnsent.Microseconds()).Where("state = ?", chat.FileWaiting).Exec(ctx))
	return fileLost(f, mine, err)
}

// GiveUpFile makes an upload one that cannot be sent any more, before it is deleted. ErrConflict: it was sent.
func (s *Store) GiveUpFile(ctx context.Context, f *StoredFile) error {
	mine, err := changed(s.ownFile(f).Set("state = ?", chat.FileFailed).Where("entry_id IS NULL").Exec(ctx))
	return fileLost(f, mine, err)
}

// ForgetFile deletes an upload that was given up.
func (s *Store) ForgetFile(ctx context.Context, f *StoredFile) error {
	_, err := s.db.NewDelete().Model((*StoredFile)(nil)).Where("id = ?", f.ID).Where("environment_id = ?", f.EnvironmentID).
		Where("state = ?", chat.FileFailed).Where("entry_id IS NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget file %s: %w", f.ID, err)
	}
	return nil
}

// attach gives uploads of a chat, which is locked, to the message that is to carry them, in the order of ids.
func (s *Store) attach(ctx context.Context, tx bun.Tx, c Chat, message uuid.UUID, ids []uuid.UUID) ([]channels.Attachment, error) {
	var attached []channels.Attachment
	for n, id := range ids {
		f := new(StoredFile)
		taken, err := changed(tx.NewUpdate().Model(f).Set("entry_id = ?", message).Set("n = ?", n).Set("due_at = NULL").
			Where("fi.id = ?", id).Where("fi.environment_id = ?", c.EnvironmentID).Where("fi.chat_id = ?", c.ID).
			Where("fi.state = ?", chat.FileStored).Where("fi.entry_id IS NULL").Returning("*").Exec(ctx))
		if err != nil {
			return nil, fmt.Errorf("attach file %s: %w", id, err)
		}
		if !taken {
			return nil, ErrFiles
		}
		attached = append(attached, channels.Attachment{Kind: f.Kind, Name: f.Name, MIME: f.MIME, Size: f.Size, Ref: f.ID.String()})
	}
	return attached, nil
}

// filesToSend are the ids of an outgoing message's files, in their order.
func (s *Store) filesToSend(ctx context.Context, tx bun.Tx, m *Entry) (ids []uuid.UUID, err error) {
	if len(m.Attachments) == 0 {
		return nil, nil
	}
	err = tx.NewSelect().Model((*StoredFile)(nil)).Column("id").Where("fi.environment_id = ?", m.EnvironmentID).
		Where("fi.entry_id = ?", m.ID).OrderExpr("fi.n").Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("read the files of message %s: %w", m.ID, err)
	}
	return ids, nil
}

// fileOf is the file a part carries; nil: none.
func (s *Store) fileOf(ctx context.Context, tx bun.Tx, p *Part) (*StoredFile, error) {
	if p.FileID == uuid.Nil {
		return nil, nil
	}
	f := new(StoredFile)
	err := tx.NewSelect().Model(f).Where("fi.id = ?", p.FileID).Where("fi.environment_id = ?", p.EnvironmentID).Scan(ctx)
	return f, one(err, "file "+p.FileID.String())
}
