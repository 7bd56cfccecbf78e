package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/chat"
)

// StoredFile is a file of a message as the database knows it. Its bytes are in the file store, under Key.
type StoredFile struct {
	bun.BaseModel `bun:"table:files,alias:fi"`

	ID            uuid.UUID      `bun:",pk"`
	EnvironmentID uuid.UUID      `bun:",notnull"`
	ChatID        uuid.UUID      `bun:",notnull"`
	EntryID       uuid.UUID      `bun:",nullzero"` // the message, addition or edit that brought it; zero: uploaded and not sent yet
	N             int            `bun:",notnull"`  // its place among the entry's attachments, from 0
	ChannelID     uuid.UUID      `bun:",notnull"`
	Ref           string         `bun:",notnull"` // what the messenger knows it by; empty: an agent's
	Kind          string         `bun:",notnull"`
	Name          string         `bun:",notnull"`
	State         chat.FileState `bun:",notnull"`
	Error         string         `bun:",notnull"` // why it is not there (yet), for people
	MIME          string         `bun:"mime,notnull"`
	Size          int64          `bun:",notnull"`
	CreatedAt     Time           `bun:",notnull"`
	Attempts      int            `bun:",notnull"`
	DueAt         Time           `bun:""`
	Fence         int64          `bun:",notnull"`
}

// Key is where the file store keeps the file. It is the same in every attempt: what a broken one left is replaced.
func (f *StoredFile) Key() string { return f.EnvironmentID.String() + "/" + f.ID.String() }

// FileOutcome is what became of an attempt to fetch a file.
type FileOutcome struct {
	State  chat.FileState // FileWaiting: it is tried again after Wait
	Kind   string         // FileStored: how it is shown
	MIME   string         // FileStored
	Size   int64          // FileStored
	Reason string         // why it is not there, for people
	Wait   time.Duration
}

// EnvironmentsToFetch lists the environments with files that are due.
func (s *Store) EnvironmentsToFetch(ctx context.Context) (ids []uuid.UUID, err error) {
	due := s.read.NewSelect().TableExpr("files AS fi").ColumnExpr("1").Where("fi.environment_id = e.id").Where("fi.due_at <= ?", s.d.now())
	err = s.read.NewSelect().TableExpr("environments AS e").Column("e.id").Where("EXISTS (?)", due).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("find files that are due: %w", err)
	}
	return ids, nil
}

// ClaimFile leases the environment's file that is due longest, to be fetched, or, where nobody has sent it, to be forgotten. nil:
// none is due. A lease that ends makes the file due again.
func (s *Store) ClaimFile(ctx context.Context, environment uuid.UUID, lease time.Duration) (*StoredFile, error) {
	var claimed *StoredFile
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		f := new(StoredFile)
		claimed = nil
		due := tx.NewSelect().Model(f).Column("id").Where("fi.environment_id = ?", environment).Where("fi.due_at <= ?", s.d.now()).
			OrderExpr("fi.due_at").Limit(1)
		err := s.d.skipLocked(due).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(f).Set("due_at = ? + ?", s.d.now(), lease.Microseconds()).Set("fence = fence + 1").Set("attempts = attempts + 1").
			WherePK().Where("fi.environment_id = ?", environment).Returning("*").Exec(ctx)
		claimed = f
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim a file: %w", err)
	}
	return claimed, nil
}

// KeepFile prolongs the lease of a claimed file. ErrConflict: it was lost.
func (s *Store) KeepFile(ctx context.Context, f *StoredFile, lease time.Duration) error {
	mine, err := changed(s.ownFile(f).Set("due_at = ? + ?", s.d.now(), lease.Microseconds()).Exec(ctx))
	return fileLost(f, mine, err)
}

// SettleFile records what became of a claimed file. ErrConflict: the lease was lost, and somebody else records it.
func (s *Store) SettleFile(ctx context.Context, f *StoredFile, o FileOutcome) error {
	q := s.ownFile(f).Set("state = ?", o.State).Set("error = ?", o.Reason)
	switch o.State {
	case chat.FileWaiting:
		q = q.Set("due_at = ? + ?", s.d.now(), o.Wait.Microseconds())
	case chat.FileStored:
		q = q.Set("due_at = NULL").Set("kind = ?", o.Kind).Set("mime = ?", o.MIME).Set("size = ?", o.Size)
	default:
		q = q.Set("due_at = NULL")
	}
	mine, err := changed(q.Exec(ctx))
	return fileLost(f, mine, err)
}

// ownFile begins an update that only who claimed the file may make.
func (s *Store) ownFile(f *StoredFile) *bun.UpdateQuery {
	return s.db.NewUpdate().Model((*StoredFile)(nil)).Where("id = ?", f.ID).Where("environment_id = ?", f.EnvironmentID).Where("fence = ?", f.Fence)
}

func fileLost(f *StoredFile, mine bool, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("write file %s: %w", f.ID, err)
	case !mine:
		return fmt.Errorf("file %s was taken over: %w", f.ID, ErrConflict)
	default:
		return nil
	}
}

// File finds an environment's file by its address: the entry that brought it and its place there, from 0.
func (s *Store) File(ctx context.Context, environment, entry uuid.UUID, n int) (*StoredFile, error) {
	f := new(StoredFile)
	err := s.read.NewSelect().Model(f).Where("fi.environment_id = ?", environment).Where("fi.entry_id = ?", entry).Where("fi.n = ?", n).Scan(ctx)
	return f, one(err, fmt.Sprintf("file %d of entry %s", n, entry))
}

// FilesOf returns the attachments that came with each of the entries, by its id.
func (s *Store) FilesOf(ctx context.Context, environment uuid.UUID, entries []Entry) (map[uuid.UUID][]File, error) {
	byEntry := map[uuid.UUID][]File{}
	var files []*File
	for i := range entries {
		attached := entries[i].Files()
		byEntry[entries[i].ID] = attached
		files = appendFiles(files, attached)
	}
	return byEntry, s.addStored(ctx, environment, files)
}

func appendFiles(all []*File, more []File) []*File {
	for i := range more {
		all = append(all, &more[i])
	}
	return all
}

// addStored adds to files what is known of their bytes.
func (s *Store) addStored(ctx context.Context, environment uuid.UUID, files []*File) error {
	if len(files) == 0 {
		return nil
	}
	entries := make([]uuid.UUID, len(files))
	for i, f := range files {
		entries[i] = f.Entry
	}
	var rows []StoredFile
	err := s.read.NewSelect().Model(&rows).Where("fi.environment_id = ?", environment).Where("fi.entry_id IN (?)", bun.List(distinct(entries))).Scan(ctx)
	if err != nil {
		return fmt.Errorf("read the files of messages: %w", err)
	}
	type address struct {
		entry uuid.UUID
		n     int
	}
	stored := make(map[address]*StoredFile, len(rows))
	for i := range rows {
		stored[address{rows[i].EntryID, rows[i].N}] = &rows[i]
	}
	for _, f := range files {
		f.Stored = stored[address{f.Entry, f.Index}]
	}
	return nil
}

// RetryFile has a file that could not be fetched tried again at once. One that is there or is being fetched is ErrConflict.
func (s *Store) RetryFile(ctx context.Context, environment, entry uuid.UUID, n int) (*StoredFile, error) {
	if _, err := s.File(ctx, environment, entry, n); err != nil {
		return nil, err
	}
	f := new(StoredFile)
	again, err := changed(s.db.NewUpdate().Model(f).Set("state = ?", chat.FileWaiting).Set("error = ''").Set("attempts = 0").Set("due_at = ?", s.d.now()).
		Where("fi.environment_id = ?", environment).Where("fi.entry_id = ?", entry).Where("fi.n = ?", n).
		Where("fi.state = ? OR fi.state = ? AND fi.error <> ''", chat.FileFailed, chat.FileWaiting).Returning("*").Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("retry file %d of entry %s: %w", n, entry, err)
	}
	if !again {
		return nil, refused("the file is there, or is being fetched")
	}
	return f, nil
}
