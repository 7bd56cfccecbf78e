package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
	"waggle/crm/creatio/creatiotest"
)

// now is a fault that meets the next requests.
func now(name string, strike func(r *rand.Rand)) fault {
	return fault{name, func(_ context.Context, r *rand.Rand) { strike(r) }}
}

// lasting is a fault of a side that works again after a while.
func lasting(name string, begin, end func()) fault {
	return fault{name, func(ctx context.Context, r *rand.Rand) {
		begin()
		rest(ctx, between(r, time.Second, 6*time.Second))
		end()
	}}
}

// crm is what can befall the CRM.
func (w *world) crm() []fault {
	crm := w.in.CRM
	all := []fault{
		now("CRM down", func(*rand.Rand) { crm.Down() }),
		now("CRM slow", func(*rand.Rand) { crm.Slow(lease / 4) }),
		{"CRM does not answer", func(ctx context.Context, r *rand.Rand) {
			gate := crm.Hold(creatiotest.OData)
			rest(ctx, between(r, time.Second, 6*time.Second))
			gate.Open()
		}},
		now("CRM fails with 500", func(r *rand.Rand) { crm.Crash(1+r.IntN(5), creatiotest.OData) }),
		now("CRM answers 503", func(r *rand.Rand) { crm.Fail(1+r.IntN(5), http.StatusServiceUnavailable, creatiotest.OData) }),
		now("CRM answers 401", func(*rand.Rand) { crm.Fail(1, http.StatusUnauthorized, creatiotest.OData) }),
		now("CRM ends sessions", func(r *rand.Rand) { crm.EndSessionAt(1+r.IntN(3), creatiotest.OData) }),
		now("CRM answers a page", func(r *rand.Rand) { crm.AnswerHTML(1+r.IntN(3), creatiotest.OData) }),
		now("CRM's answer lost after its commit", func(r *rand.Rand) { crm.LoseAnswer(1+r.IntN(8), creatiotest.OData) }),
		now("CRM leaves answers out of a batch", func(r *rand.Rand) {
			crm.OmitBatchAnswers(1+r.IntN(6), creatiotest.Inserts([]string{"ChatMessages", "OmniChat", "Contact"}[r.IntN(3)]))
		}),
	}
	for i, f := range all {
		all[i].strike = func(ctx context.Context, r *rand.Rand) {
			f.strike(ctx, r)
			rest(ctx, between(r, time.Second, 5*time.Second))
			crm.Up()
			w.crmIsBack(ctx)
		}
	}
	return all
}

// crmIsBack waits until Waggle has noticed that the CRM works again, which after several faults takes it up to a minute: the
// next one is to strike while it is busy pushing.
func (w *world) crmIsBack(ctx context.Context) {
	for rest(ctx, 200*time.Millisecond) {
		if n, err := w.in.Database.Int(ctx, "SELECT count(*) FROM environments WHERE crm_state = 'unavailable'"); err == nil && n == 0 {
			return
		}
	}
}

// slowSend is how long a slow messenger takes before it does what it is asked, and again before it answers: so that both together
// are within the deadline of a send, and what two processes send at the same time overtakes each other.
const slowSend = lease / 7

// messengers is what can befall the messengers and the way to Waggle.
func (w *world) messengers() []fault {
	bot, messenger := w.in.Bot, w.in.Messenger
	return []fault{
		now("Telegram answers 429", func(r *rand.Rand) { bot.FailNext("send", telegramtest.TooManyRequests(1+r.IntN(3))) }),
		now("Telegram fails with 500", func(*rand.Rand) { bot.FailNext("send", telegramtest.ServerError(), double.BadGateway()) }),
		lasting("Telegram slow", func() { bot.Slow(slowSend) }, func() { bot.Slow(0) }),
		now("Telegram does not answer", func(*rand.Rand) { bot.FailNext("send", double.Hang(), double.Drop()) }),
		now("Telegram's answer lost after it accepted", func(*rand.Rand) {
			bot.FailNext("send", double.AfterAccepting(double.Drop()), double.AfterAccepting(double.Hang()))
		}),
		now("Telegram does not give files", func(*rand.Rand) {
			bot.FailNext("getFile", telegramtest.ServerError(), double.BadGateway(), double.Drop(), telegramtest.TooManyRequests(1))
		}),
		now("Telegram delivers twice", func(r *rand.Rand) { bot.DuplicateNext(1 + r.IntN(20)) }),
		{"Telegram delivers in another order", func(ctx context.Context, r *rand.Rand) {
			bot.ReorderNext(2 + r.IntN(4))
			rest(ctx, 3*time.Second) // until as many have come
		}},
		lasting("messenger down", messenger.RefuseConnections, messenger.Listen),
		now("messenger answers 429", func(r *rand.Rand) { messenger.FailNext(customtest.TooManyRequests(1 + r.IntN(3))) }),
		now("messenger fails with 500", func(*rand.Rand) {
			messenger.FailNext(customtest.Status(http.StatusInternalServerError), customtest.Page(http.StatusBadGateway), customtest.Down(1))
		}),
		now("messenger's answer lost after it accepted", func(*rand.Rand) {
			messenger.FailNext(double.AfterAccepting(double.Hang()), double.AfterAccepting(double.Drop()))
		}),
		now("X fails with 503", func(*rand.Rand) { w.in.X.FailNext("send", xtest.ServerError(), double.BadGateway()) }),
		now("X does not answer", func(*rand.Rand) { w.in.X.FailNext("send", double.Hang(), double.Drop()) }),
		now("X's answer lost after it accepted", func(*rand.Rand) {
			w.in.X.FailNext("send", double.AfterAccepting(double.Drop()), double.AfterAccepting(double.Hang()))
		}),
		now("X takes and gives no files", func(*rand.Rand) {
			w.in.X.FailNext("upload", xtest.ServerError(), double.Drop(), double.AfterAccepting(double.Drop()))
			w.in.X.FailNext("file", xtest.ServerError(), double.BadGateway(), double.Drop())
		}),
		now("X delivers twice", func(r *rand.Rand) { w.in.XApp.DuplicateNext(1 + r.IntN(10)) }),
		now("Facebook says too fast", func(r *rand.Rand) { w.in.Facebook.FailNext("messages", messengertest.TooFast(1+r.IntN(3))) }),
		now("Facebook fails with 502", func(*rand.Rand) { w.in.Facebook.FailNext("messages", double.BadGateway(), double.Drop()) }),
		now("Facebook's answer lost after it accepted", func(*rand.Rand) {
			w.in.Facebook.FailNext("messages", double.AfterAccepting(double.Hang()), double.AfterAccepting(double.Drop()))
		}),
		now("Facebook takes and gives no files", func(*rand.Rand) {
			w.in.Facebook.FailNext("message_attachments", double.BadGateway(), double.Drop(), double.AfterAccepting(double.Hang()))
			w.in.Facebook.FailNext("cdn", double.BadGateway(), double.Drop())
		}),
		now("Facebook delivers twice", func(r *rand.Rand) { w.in.MetaApp.DuplicateNext(1 + r.IntN(10)) }),
		now("messengers deliver twice at once", func(r *rand.Rand) { w.in.Front.DoubleDeliveries(1 + r.IntN(40)) }),
		now("Waggle's answers lost", func(r *rand.Rand) { w.in.Front.LoseAnswers(1 + r.IntN(15)) }),
	}
}

// calm heals what lasts. The faults that wait for a call strike it yet; there are a few.
func (w *world) calm() {
	w.in.Front.LoseAnswers(0)
	w.in.Front.DoubleDeliveries(0)
	w.in.CRM.Up()
	w.in.Bot.Slow(0)
	w.in.Messenger.Heal()
	w.in.Messenger.Listen()
}
