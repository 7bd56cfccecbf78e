package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
	"waggle/crm/creatio/creatiotest"
)

// now is a fault that somebody meets in a while, who counts it.
func now(name string, count func() int, strike func(r *rand.Rand)) fault {
	return fault{name: name, count: count, strike: func(_ context.Context, r *rand.Rand, _ func(int)) { strike(r) }}
}

// spoils is a fault that meets the next calls of a double.
func spoils(name string, failNext func(...double.Fault), faults func(r *rand.Rand) []double.Fault) fault {
	return fault{name: name, strike: func(_ context.Context, r *rand.Rand, took func(int)) { failNext(noting(took, faults(r)...)...) }}
}

// noting lets each fault tell that a call met it.
func noting(took func(int), faults ...double.Fault) []double.Fault {
	for i, f := range faults {
		faults[i] = f.Noting(func() { took(1) })
	}
	return faults
}

// these are faults that are always the same.
func these(faults ...double.Fault) func(*rand.Rand) []double.Fault {
	return func(*rand.Rand) []double.Fault { return slices.Clone(faults) }
}

// limits is a limit that ends after up to three seconds.
func limits(tooMany func(seconds int) double.Fault) func(*rand.Rand) []double.Fault {
	return func(r *rand.Rand) []double.Fault { return []double.Fault{tooMany(1 + r.IntN(3))} }
}

// lasting is a fault of a side that works again after a while; what somebody counts meanwhile are its effects.
func lasting(name string, most time.Duration, begin, end func(), count func() int) fault {
	return fault{name: name, most: most, strike: func(ctx context.Context, r *rand.Rand, took func(int)) {
		before := count()
		begin()
		rest(ctx, between(r, time.Second, most))
		took(count() - before)
		end()
	}}
}

// crmPatience is how long a fault of the CRM waits for a request that it meets.
const crmPatience = 5 * time.Second

// crm is what can befall the CRM.
func (w *world) crm() []fault {
	crm := w.in.CRM
	var gate *creatiotest.Gate
	all := []fault{
		now("CRM down", nil, func(*rand.Rand) { crm.Down() }),
		now("CRM slow", nil, func(*rand.Rand) { crm.Slow(lease / 4) }),
		now("CRM does not answer", nil, func(*rand.Rand) { gate = crm.Hold(creatiotest.OData) }),
		now("CRM fails with 500", nil, func(r *rand.Rand) { crm.Crash(1+r.IntN(5), creatiotest.OData) }),
		now("CRM answers 503", nil, func(r *rand.Rand) { crm.Fail(1+r.IntN(5), http.StatusServiceUnavailable, creatiotest.OData) }),
		now("CRM answers 401", nil, func(*rand.Rand) { crm.Fail(1, http.StatusUnauthorized, creatiotest.OData) }),
		now("CRM ends sessions", nil, func(r *rand.Rand) { crm.EndSessionAt(1+r.IntN(3), creatiotest.OData) }),
		now("CRM answers a page", nil, func(r *rand.Rand) { crm.AnswerHTML(1+r.IntN(3), creatiotest.OData) }),
		now("CRM's answer lost after its commit", nil, func(r *rand.Rand) { crm.LoseAnswer(1+r.IntN(8), creatiotest.OData) }),
		now("CRM leaves answers out of a batch", nil, func(r *rand.Rand) {
			crm.OmitBatchAnswers(1+r.IntN(6), creatiotest.Inserts([]string{"ChatMessages", "OmniChat"}[r.IntN(2)])) // contacts are new at the beginning only
		}),
	}
	for i, f := range all {
		all[i].most = crmPatience + 5*time.Second
		all[i].strike = func(ctx context.Context, r *rand.Rand, took func(int)) {
			before := crm.Spoilt()
			f.strike(ctx, r, took)
			patient, cancel := context.WithTimeout(ctx, crmPatience)
			_ = crm.WaitSpoilt(patient, before+1) // whether it met any is counted
			cancel()
			rest(ctx, between(r, time.Second, 5*time.Second))
			took(crm.Spoilt() - before)
			crm.Up()
			if gate != nil {
				gate.Open()
			}
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
	return slices.Concat(w.telegram(), w.company(), w.x(), w.facebook(), []fault{
		now("messengers deliver twice at once", w.in.Front.Doubled, func(r *rand.Rand) { w.in.Front.DoubleDeliveries(1 + r.IntN(40)) }),
		now("Waggle's answers lost", w.in.Front.Lost, func(r *rand.Rand) { w.in.Front.LoseAnswers(1 + r.IntN(15)) }),
	})
}

func (w *world) telegram() []fault {
	bot := w.in.Bot
	send := func(faults ...double.Fault) { bot.FailNext("send", faults...) }
	return []fault{
		spoils("Telegram answers 429", send, limits(telegramtest.TooManyRequests)),
		spoils("Telegram fails with 500", send, these(telegramtest.ServerError(), double.BadGateway())),
		lasting("Telegram slow", 6*time.Second, func() { bot.Slow(slowSend) }, func() { bot.Slow(0) }, func() int { return bot.Effects().Slowed }),
		spoils("Telegram does not answer", send, these(double.Hang(), double.Drop())),
		spoils("Telegram's answer lost after it accepted", send, these(double.AfterAccepting(double.Drop()), double.AfterAccepting(double.Hang()))),
		spoils("Telegram does not give files", func(faults ...double.Fault) { bot.FailNext("getFile", faults...) },
			these(telegramtest.ServerError(), double.BadGateway(), double.Drop(), telegramtest.TooManyRequests(1))),
		now("Telegram delivers twice", func() int { return bot.Effects().Doubled }, func(r *rand.Rand) { bot.DuplicateNext(1 + r.IntN(20)) }),
		reorders("Telegram delivers in another order", bot.ReorderNext, func() int { return bot.Effects().Reordered }),
	}
}

// reorders is a messenger that delivers the next few events last first; it waits no longer for them than the fault lasts.
func reorders(name string, next func(n int), count func() int) fault {
	return fault{name: name, most: 2 * time.Second, count: count, strike: func(ctx context.Context, r *rand.Rand, _ func(int)) {
		next(2 + r.IntN(4))
		rest(ctx, 2*time.Second)
		next(0)
	}}
}

// company is the company's own messenger. It delivers in order: its protocol demands that.
func (w *world) company() []fault {
	messenger := w.in.Messenger
	return []fault{
		// Nobody there counts who is not let in: it is enough that we are not.
		lasting("messenger down", 6*time.Second, messenger.RefuseConnections, messenger.Listen, func() int { return w.refused(messenger.URL) }),
		spoils("messenger answers 429", messenger.FailNext, limits(customtest.TooManyRequests)),
		spoils("messenger fails with 500", messenger.FailNext,
			these(customtest.Status(http.StatusInternalServerError), customtest.Page(http.StatusBadGateway), customtest.Down(1))),
		spoils("messenger's answer lost after it accepted", messenger.FailNext,
			these(double.AfterAccepting(double.Hang()), double.AfterAccepting(double.Drop()))),
	}
}

// refused is 1 where nobody listens at an address.
func (w *world) refused(address string) int {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(w.finish, "tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		return 1
	}
	_ = c.Close()
	return 0
}

func (w *world) x() []fault {
	x := w.in.X
	send := func(faults ...double.Fault) { x.FailNext("send", faults...) }
	return []fault{
		spoils("X answers 429", send, limits(xtest.LimitedFor)),
		spoils("X fails with 503", send, these(xtest.ServerError(), double.BadGateway())),
		spoils("X does not answer", send, these(double.Hang(), double.Drop())),
		spoils("X's answer lost after it accepted", send, these(double.AfterAccepting(double.Drop()), double.AfterAccepting(double.Hang()))),
		{name: "X takes and gives no files", strike: func(_ context.Context, _ *rand.Rand, took func(int)) {
			x.FailNext("upload", noting(took, xtest.ServerError(), double.Drop(), double.AfterAccepting(double.Drop()))...)
			x.FailNext("file", noting(took, xtest.ServerError(), double.BadGateway(), double.Drop())...)
		}},
		reorders("X delivers in another order", w.in.XApp.ReorderNext, w.in.XApp.Reordered),
		now("X delivers twice", w.in.XApp.Doubled, func(r *rand.Rand) { w.in.XApp.DuplicateNext(1 + r.IntN(10)) }),
	}
}

func (w *world) facebook() []fault {
	facebook := w.in.Facebook
	send := func(faults ...double.Fault) { facebook.FailNext("messages", faults...) }
	return []fault{
		spoils("Facebook says too fast", send, limits(messengertest.TooFast)),
		spoils("Facebook fails with 502", send, these(double.BadGateway(), double.Drop())),
		spoils("Facebook's answer lost after it accepted", send, these(double.AfterAccepting(double.Hang()), double.AfterAccepting(double.Drop()))),
		{name: "Facebook takes and gives no files", strike: func(_ context.Context, _ *rand.Rand, took func(int)) {
			facebook.FailNext("message_attachments", noting(took, double.BadGateway(), double.Drop(), double.AfterAccepting(double.Hang()))...)
			facebook.FailNext("cdn", noting(took, double.BadGateway(), double.Drop())...)
		}},
		reorders("Facebook delivers in another order", w.in.MetaApp.ReorderNext, w.in.MetaApp.Reordered),
		now("Facebook delivers twice", w.in.MetaApp.Doubled, func(r *rand.Rand) { w.in.MetaApp.DuplicateNext(1 + r.IntN(10)) }),
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
