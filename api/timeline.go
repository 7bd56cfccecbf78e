package api

import (
	"context"

	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

// GetTimeline shows everything that happened in a chat, in order.
func (s *Server) GetTimeline(ctx context.Context, r gen.GetTimelineRequestObject) (gen.GetTimelineResponseObject, error) {
	c, row, err := s.chatFor(ctx, s.viewer, r.ID)
	if err != nil {
		return nil, err
	}
	entries, err := s.Store.Timeline(ctx, c.Environment, r.ID, valueOr(r.Params.After, 0), valueOr(r.Params.Limit, defaultLimit))
	if err != nil {
		return nil, storeProblem(err, "timeline")
	}
	messages, err := s.Store.MessagesOf(ctx, c.Environment, entries)
	if err != nil {
		return nil, storeProblem(err, "timeline")
	}
	files, err := s.Store.FilesOf(ctx, c.Environment, entries)
	if err != nil {
		return nil, storeProblem(err, "timeline")
	}
	byID := make(map[uuid.UUID]*store.Message, len(messages))
	for i := range messages {
		byID[messages[i].ID] = &messages[i]
	}
	items := make([]gen.TimelineEntry, len(entries))
	for i := range entries {
		items[i] = s.entryAnswer(&entries[i], byID[entries[i].ID], files[entries[i].ID])
		if m := items[i].Message; m != nil {
			waits(&row, m)
		}
	}
	return gen.GetTimeline200JSONResponse{Items: items, LastSeq: row.LastSeq}, nil
}

func (s *Server) entryAnswer(e *store.Entry, m *store.Message, files []store.File) gen.TimelineEntry {
	d := e.DataOf()
	a := gen.TimelineEntry{
		Seq: e.Seq, Kind: timelineKind(e.Kind, d), At: e.At.Time, Author: gen.Author(e.Author), AgentID: idOrNull(e.AgentID),
		QueueID: idOrNull(d.Queue), MessageID: idOrNull(e.TargetID), Reason: orNull(d.Why), ProcessID: idOrNull(d.Process),
	}
	switch e.Kind {
	case chat.EntryMessage:
		answer := s.messageAnswer(m)
		a.Message, a.MessageID = &answer, &e.ID
	case chat.EntryAddition, chat.EntryEdit:
		a.Text, a.Attachments = &e.Text, s.attachmentAnswers(files)
	case chat.EntryStatus:
		a.State = orNull(string(e.State))
	case chat.EntryClosed:
		a.Reason = &d.Reason
		if d.Why != "" {
			reason := d.Reason + ": " + d.Why
			a.Reason = &reason
		}
	}
	return a
}

// timelineKind tells apart what the façade has own words for.
func timelineKind(k chat.EntryKind, d store.EntryData) gen.TimelineKind {
	switch {
	case k == chat.EntryAssigned && d.Accepted:
		return gen.TimelineKindAccepted
	case k == chat.EntryAssigned && d.From != uuid.Nil:
		return gen.TimelineKindTransferred
	case k == chat.EntryHeld && d.Released:
		return gen.TimelineKindUnheld
	case k == chat.EntryOpened && d.Reopened:
		return gen.TimelineKindReopened
	default:
		return gen.TimelineKind(k)
	}
}
