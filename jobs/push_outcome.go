package jobs

import (
	"fmt"

	"github.com/google/uuid"

	"waggle/crm"
	"waggle/store"
)

// outcome turns the CRM's answers into what is written down. stop says why the environment is to be stopped instead: a parent
// of many chats is refused, or many chats are, for one and the same reason. Then nothing counts as refused.
func (p *push) outcome() (s store.PushSettlement, stop string) {
	if stop = p.commonRefusal(); stop != "" {
		for id, o := range p.result {
			if !o.Proven {
				delete(p.result, id)
			}
		}
	}
	s.Parents = p.parents()
	for i := range p.claim.Chats {
		chat, messages := p.chat(&p.claim.Chats[i], stop != "")
		s.Chats = append(s.Chats, chat)
		s.Messages = append(s.Messages, messages...)
	}
	return s, stop
}

func (p *push) refusal(id uuid.UUID) string {
	o, known := p.result[id]
	if !known || o.Proven {
		return ""
	}
	return o.Reason
}

// commonRefusal says why the environment is to be stopped, if it is. A probe that meets the reason it was stopped for meets it
// again.
func (p *push) commonRefusal() string {
	for id, ch := range p.work.Channels {
		if why := p.refusal(id); why != "" {
			return fmt.Sprintf("the CRM refuses channel %q: %s", ch.Name, why)
		}
	}
	for id, q := range p.work.Queues {
		if why := p.refusal(id); why != "" {
			return fmt.Sprintf("the CRM refuses queue %q: %s", q.Name, why)
		}
	}
	chats := map[string]map[uuid.UUID]bool{}
	note := func(record, chat uuid.UUID) {
		if why := p.refusal(record); why != "" {
			if chats[why] == nil {
				chats[why] = map[uuid.UUID]bool{}
			}
			chats[why][chat] = true
		}
	}
	for _, c := range p.claim.Chats {
		note(c.ID, c.ID)
		if contact := p.work.Contacts[c.ContactID]; contact != nil {
			note(contact.CRMRef, c.ID)
		}
	}
	for _, m := range p.records.push.Messages {
		note(m.ID, m.ChatID)
	}
	before := p.claim.Environment
	for why, refused := range chats {
		again := before.CRMState == store.CRMUnavailable && before.CRMError == manyRefused(why)
		if len(refused) >= sameRefusals || again {
			return manyRefused(why)
		}
	}
	return ""
}

func manyRefused(why string) string { return "the CRM refuses many chats for the same reason: " + why }

// parents lists the parents that are settled. What hangs on a contact that was refused just now is decided next time.
func (p *push) parents() []store.PushedParent {
	var all []store.PushedParent
	settle := func(row any, id uuid.UUID) {
		o, known := p.result[id]
		if !known {
			return
		}
		parent := store.PushedParent{Row: row}
		if o.Proven {
			parent.Fingerprint = p.records.prints[id]
		} else {
			parent.Refused = o.Reason
		}
		all = append(all, parent)
	}
	for _, r := range p.records.push.Identities {
		if p.refusal(r.ContactID) == "" {
			settle(p.work.Identities[r.ID], r.ID)
		}
	}
	for _, contact := range p.work.Contacts {
		if _, pushed := p.records.prints[contact.CRMRef]; pushed {
			settle(contact, contact.CRMRef)
		}
	}
	for _, r := range p.records.push.Queues {
		settle(p.work.Queues[r.ID], r.ID)
	}
	for _, r := range p.records.push.Channels {
		settle(p.work.Channels[r.ID], r.ID)
	}
	return all
}

// chat decides how far a chat's cursor moves: over the entries whose records are proven or refused, up to the first that is
// neither. Without the chat's own record it does not move at all.
func (p *push) chat(c *store.Chat, stopped bool) (store.PushedChat, []store.SettledMessage) {
	end := store.PushedChat{Chat: c, Seq: c.CRMSeq, Failures: c.CRMFailures}
	print, pushed := p.records.prints[c.ID]
	o, known := p.result[c.ID]
	contact := p.work.Contacts[c.ContactID]
	parentRefused := contact != nil && p.refusal(contact.CRMRef) != ""
	switch {
	case pushed && !known:
	case pushed && !o.Proven:
		if !parentRefused {
			end.Refused = o.Reason
		}
	default:
		end.Proven, end.Fingerprint = true, c.CRMPushed
		if pushed {
			end.Fingerprint = print
		}
	}
	var settled []store.SettledMessage
	if end.Proven {
		end.Seq, settled = p.cursor(c)
	}
	moved := end.Seq > c.CRMSeq || end.Proven && (pushed || len(p.work.Entries[c.ID]) == 0) || parentRefused
	switch {
	case p.failed != nil || stopped: // the environment waits, not the chat
	case moved:
		end.Failures = 0
	default:
		end.Failures++
		end.Wait = pushWait(end.Failures)
	}
	return end, settled
}

// cursor walks a chat's entries. The messages it returns are new placeholders, and those that are none any more.
func (p *push) cursor(c *store.Chat) (seq int64, settled []store.SettledMessage) {
	seq = c.CRMSeq
	seen := map[uuid.UUID]bool{}
	for _, e := range p.work.Entries[c.ID] {
		if m := p.work.Messages[messageOf(e)]; m != nil {
			o, known := p.result[m.ID]
			if !known {
				return seq, settled
			}
			if refused := refusedReason(o); (refused != "" || m.CRMError != "") && !seen[m.ID] {
				seen[m.ID] = true
				settled = append(settled, store.SettledMessage{Message: m, Refused: refused})
			}
		}
		seq = e.Seq
	}
	return seq, settled
}

func refusedReason(o crm.Outcome) string {
	if o.Proven {
		return ""
	}
	return o.Reason
}
