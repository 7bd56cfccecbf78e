package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/chat"
	"waggle/guard"
	"waggle/media"
	"waggle/store"
)

// ErrNotSendable is a file of a type that agents do not send: a program or a page.
var ErrNotSendable = errors.New("files of this type are not sent")

const (
	filesAtOnce     = 4                // of one environment
	filesLook       = time.Second      // how often more is looked for while files are on their way
	fileStall       = 20 * time.Second // without a byte: then the messenger gives no more
	fileDeadline    = 5 * time.Minute  // the whole of a file
	fileTries       = 60               // about a day
	longestFileWait = 30 * time.Minute // between tries
)

// FetchDue lists the environments that have files to be fetched.
func (j *Jobs) FetchDue(ctx context.Context) ([]uuid.UUID, error) {
	return j.Store.EnvironmentsToFetch(ctx)
}

// Fetch brings an environment's files that are due from their messengers into the file store, filesAtOnce at a time, until none is
// left. It returns how many it worked. A file that hangs takes its place only. Repeating any of it is harmless, so what is under way
// when ctx ends is broken off and tried again.
func (j *Jobs) Fetch(ctx context.Context, environment uuid.UUID) (worked int, err error) {
	var running sync.WaitGroup
	defer running.Wait()
	done := make(chan struct{}, filesAtOnce)
	for inFlight := 0; ; {
		for inFlight < filesAtOnce && err == nil && ctx.Err() == nil {
			var f *store.StoredFile
			if f, err = j.Store.ClaimFile(ctx, environment, j.lease()); err != nil || f == nil {
				break
			}
			worked, inFlight = worked+1, inFlight+1
			running.Go(func() { j.workFile(ctx, f); done <- struct{}{} })
		}
		if inFlight == 0 {
			return worked, err
		}
		select {
		case <-done:
			inFlight--
		case <-time.After(filesLook):
		}
	}
}

// workFile makes one attempt at a file and records what became of it. Failure policy: an error of ours leaves the file to its lease.
func (j *Jobs) workFile(ctx context.Context, f *store.StoredFile) {
	if f.EntryID == uuid.Nil {
		if err := j.forgetFile(ctx, f); err != nil && !errors.Is(err, store.ErrConflict) {
			j.Log.Error("a file that nobody sent is left to be deleted later", "environment", f.EnvironmentID, "file", f.ID, "error", err)
		}
		return
	}
	began := time.Now()
	kept, err := j.fetchFile(ctx, f)
	outcome := fileOutcome(f, kept, err)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.settleTime())
	defer cancel()
	if lost := j.Store.SettleFile(settling, f, outcome); lost != nil {
		if !errors.Is(lost, store.ErrConflict) {
			j.Metrics.Errors.WithLabelValues("fetch", "run").Inc()
			j.Log.Error("a file is left to its lease", "environment", f.EnvironmentID, "file", f.ID, "error", lost)
		}
		return
	}
	j.Metrics.Fetched.WithLabelValues(string(outcome.State)).Inc()
	attrs := []any{
		"environment", f.EnvironmentID, "chat", f.ChatID, "entry", f.EntryID, "file", f.ID, "attempt", f.Attempts, "state", outcome.State,
		"size", outcome.Size, "took", time.Since(began),
	}
	if err == nil {
		j.Log.Info("fetched a file from a messenger", attrs...)
	} else {
		j.Log.Warn("not fetched from a messenger", append(attrs, "reason", outcome.Reason, "wait", outcome.Wait, "error", err)...)
	}
	j.publishMessage(settling, f.ChatID)
}

// fetchFile streams a file from its messenger into the file store. The lease is kept as long as that goes on.
func (j *Jobs) fetchFile(ctx context.Context, f *store.StoredFile) (media.Kept, error) {
	ctx, stop := context.WithTimeout(ctx, fileDeadline)
	defer stop()
	stalled := time.AfterFunc(fileStall, stop)
	defer stalled.Stop()
	go j.keepFile(ctx, stop, f)
	ch, err := j.Store.Channel(ctx, f.EnvironmentID, f.ChannelID)
	if err != nil {
		return media.Kept{}, err
	}
	adapter, err := j.adapter(ch.Kind)
	if err != nil {
		return media.Kept{}, err
	}
	opener, ok := adapter.(channels.FileOpener)
	if !ok {
		return media.Kept{}, &channels.Error{Outcome: channels.Permanent, Reason: "this kind of messenger gives no files"}
	}
	view, err := j.OpenChannel(ctx, ch)
	if err != nil {
		return media.Kept{}, err
	}
	file, err := opener.OpenFile(ctx, view, f.Ref)
	if err != nil {
		return media.Kept{}, err
	}
	defer file.Close()
	return j.Media.Put(ctx, f.Key(), moving{file, stalled}, file.Size, media.Limit)
}

// keepFile prolongs the lease of a file until ctx ends, and ends it where the lease is lost.
func (j *Jobs) keepFile(ctx context.Context, stop context.CancelFunc, f *store.StoredFile) {
	beat := time.NewTicker(j.lease() / 3)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if err := j.Store.KeepFile(ctx, f, j.lease()); errors.Is(err, store.ErrConflict) {
			stop()
		}
	}
}

// moving puts the end of a transfer off with each byte that comes.
type moving struct {
	io.Reader
	stalled *time.Timer
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if n > 0 {
		m.stalled.Reset(fileStall)
	}
	return n, err
}

// fileOutcome decides what the end of an attempt means for a file. What may pass is tried again for about a day.
func fileOutcome(f *store.StoredFile, kept media.Kept, err error) store.FileOutcome {
	if err == nil {
		return store.FileOutcome{State: chat.FileStored, Kind: media.Truly(f.Kind, kept.MIME), MIME: kept.MIME, Size: kept.Size}
	}
	var e *channels.Error
	known := errors.As(err, &e)
	wait := min(time.Second<<min(f.Attempts-1, 20), longestFileWait)
	reason := "the file broke off on its way"
	switch {
	case errors.Is(err, media.ErrTooLarge), errors.Is(err, guard.ErrTooLarge):
		return store.FileOutcome{State: chat.FileFailed, Reason: fmt.Sprintf("the file is larger than the %d MB that Waggle takes", media.Limit>>20)}
	case errors.Is(err, media.ErrEmpty):
		return store.FileOutcome{State: chat.FileFailed, Reason: "the messenger gave an empty file"}
	case known && e.Outcome == channels.Permanent:
		return store.FileOutcome{State: chat.FileFailed, Reason: e.Reason}
	case errors.Is(err, media.ErrStore):
		reason = "Waggle's file store does not take the file; the operator finds the cause in the log"
	case known:
		reason = e.Reason
		if !e.At.IsZero() {
			wait = max(time.Until(e.At), time.Second)
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		reason = "the messenger did not give the file in time"
	}
	if f.Attempts >= fileTries {
		return store.FileOutcome{State: chat.FileFailed, Reason: reason + "; it was tried for about a day"}
	}
	return store.FileOutcome{State: chat.FileWaiting, Reason: reason, Wait: wait}
}

// upload is a file for a messenger to take; nil for none. gone is set where it turns out not to be there.
func (j *Jobs) upload(f *store.StoredFile, gone *bool) *channels.Upload {
	if f == nil {
		return nil
	}
	return &channels.Upload{Kind: f.Kind, Name: f.Name, MIME: f.MIME, Size: f.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		content, err := j.Media.Open(ctx, f.Key(), 0)
		*gone = errors.Is(err, media.ErrNotFound)
		return content, err
	}}
}

// forgetFile deletes an upload that nobody has sent. Failure policy: what is left of it is due again when its lease ends.
func (j *Jobs) forgetFile(ctx context.Context, f *store.StoredFile) error {
	if err := j.Store.GiveUpFile(ctx, f); err != nil {
		return err
	}
	if err := j.Media.Remove(ctx, f.Key()); err != nil {
		return err
	}
	return j.Store.ForgetFile(ctx, f)
}

// Upload keeps a file that an agent is going to send. content is read to its end, or until it is larger than limit; size is -1 where
// it is not known. A file that is not sent within a day is forgotten. The errors of package media say what was wrong with the file,
// ErrNotSendable that it is of a type that is not sent; store.ErrUnsent that too much waits to be sent.
func (j *Jobs) Upload(ctx context.Context, f *store.StoredFile, content io.Reader, size, limit int64) error {
	if f.Size = size; size < 0 || size > limit {
		f.Size = limit
	}
	if err := j.Store.AddFile(ctx, f); err != nil {
		return err
	}
	kept, err := j.Media.Put(ctx, f.Key(), content, size, limit)
	if err == nil && !media.Sendable(kept.MIME) {
		err = ErrNotSendable
	}
	if err == nil {
		f.State, f.Kind, f.MIME, f.Size = chat.FileStored, media.KindOf(kept.MIME), kept.MIME, kept.Size
		err = j.Store.FileUploaded(ctx, f)
	}
	if err == nil {
		return nil
	}
	clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.settleTime())
	defer cancel()
	return errors.Join(err, j.forgetFile(clearing, f))
}

// RetryFile has a file that could not be fetched tried again at once.
func (j *Jobs) RetryFile(ctx context.Context, environment, entry uuid.UUID, n int) (*store.StoredFile, error) {
	f, err := j.Store.RetryFile(ctx, environment, entry, n)
	if err != nil {
		return nil, err
	}
	j.Hints.Look(Look{At: LookMedia, Environment: environment})
	j.publishMessage(ctx, f.ChatID)
	return f, nil
}
