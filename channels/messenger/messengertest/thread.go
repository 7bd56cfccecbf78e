package messengertest

import (
	"encoding/json"
	"time"
)

const controlTime = 24 * time.Hour // after which a conversation is nobody's again (§5, UNVERIFIED)

// holder is the app that controls the conversation; empty: it is idle. The caller holds the lock.
func (k *Customer) holder() string {
	if k.owner != "" && !k.p.s.Clock.Now().Before(k.ownedUntil) {
		k.owner = ""
	}
	return k.owner
}

// hand gives the conversation to an app, or to nobody. The caller holds the lock.
func (k *Customer) hand(app string) { k.owner, k.ownedUntil = app, k.p.s.Clock.Now().Add(controlTime) }

// Owner is the app that controls the conversation; empty: it is idle.
func (k *Customer) Owner() string {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	return k.holder()
}

// Pass lets the owner hand the conversation to another app, which is told (§5).
func (k *Customer) Pass(to *App, metadata string) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.pass(to.ID, metadata)
}

// Take lets an app take the conversation; who had it is told.
func (k *Customer) Take(by *App) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.take(by.ID, "")
}

// Ask lets an app ask the owner for the conversation.
func (k *Customer) Ask(by *App) {
	k.p.s.Mu.Lock()
	defer k.p.s.Mu.Unlock()
	k.ask(by.ID, "")
}

// control tells one app about the conversation's owner. The caller holds the lock.
func (k *Customer) control(app, field string, what object) {
	a := k.p.s.apps[app]
	if a == nil || !k.p.subscriptions[a]["messaging_handovers"] {
		return
	}
	a.push(k.p, "messaging", object{"sender": object{"id": k.PSID}, "recipient": object{"id": k.p.ID}, "timestamp": k.now(), field: what})
}

func (k *Customer) pass(to, metadata string) {
	before := k.holder()
	k.hand(to)
	k.control(to, "pass_thread_control", object{"previous_owner_app_id": orNull(before), "new_owner_app_id": to, "metadata": metadata})
}

func (k *Customer) take(by, metadata string) {
	before := k.holder()
	k.hand(by)
	k.control(before, "take_thread_control", object{"previous_owner_app_id": orNull(before), "new_owner_app_id": by, "metadata": metadata})
}

func (k *Customer) ask(by, metadata string) {
	k.control(k.holder(), "request_thread_control", object{"requested_owner_app_id": number(by), "metadata": metadata})
}

func orNull(id string) any {
	if id == "" {
		return nil
	}
	return id
}

// number is an id where the wire has a number.
func number(id string) any { return json.Number(id) }

// The calls of §5. A pass and a release are the owner's; a take is for the default app, or for anybody while it is idle.

func (p *Page) passThread(q *query, t *token) (any, *graphError) {
	k, fail := p.recipient(q)
	if fail != nil {
		return nil, fail
	}
	if owner := k.holder(); owner != "" && owner != t.app.ID {
		return nil, notOwner()
	}
	if q.args["target_app_id"] == "" {
		return nil, invalid("The parameter target_app_id is required")
	}
	k.pass(q.args["target_app_id"], q.args["metadata"])
	return object{"success": true}, nil
}

func (p *Page) takeThread(q *query, t *token) (any, *graphError) {
	k, fail := p.recipient(q)
	if fail != nil {
		return nil, fail
	}
	if owner := k.holder(); owner != "" && owner != t.app.ID && p.fallback != t.app {
		return nil, notOwner()
	}
	k.take(t.app.ID, q.args["metadata"])
	return object{"success": true}, nil
}

func (p *Page) requestThread(q *query, t *token) (any, *graphError) {
	k, fail := p.recipient(q)
	if fail != nil {
		return nil, fail
	}
	k.ask(t.app.ID, q.args["metadata"])
	return object{"success": true}, nil
}

func (p *Page) releaseThread(q *query, t *token) (any, *graphError) {
	k, fail := p.recipient(q)
	if fail != nil {
		return nil, fail
	}
	if k.holder() != t.app.ID {
		return nil, notOwner()
	}
	k.hand("")
	return object{"success": true}, nil
}

func notOwner() *graphError {
	return refuse(10, 2018300, "(#10) The thread is owned by another app.")
}

func (p *Page) threadOwner(q *query, _ *token) (any, *graphError) {
	k := p.s.customers[q.args["recipient"]]
	if k == nil || k.p != p {
		return nil, refuse(100, 2018001, "(#100) No matching user found")
	}
	data := []object{}
	if owner := k.holder(); owner != "" {
		data = append(data, object{"thread_owner": object{"app_id": owner, "expiration": k.ownedUntil.Unix()}})
	}
	return object{"data": data}, nil
}
