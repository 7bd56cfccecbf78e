package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"

	"waggle/api/gen"
)

// settleLimit is how long after the last fault all that is due may take. A CRM that was away is tried again after a minute at
// most, a lease ends after seconds, Telegram's double is hurried.
const settleLimit = 2 * time.Minute

// settle waits until all that is due was done: first what people began, then what half an hour brings that passes at once.
func (w *world) settle(ctx context.Context) error {
	began := time.Now()
	if err := w.must(ctx, w.order); err != nil {
		return err
	}
	left, err := w.until(ctx, w.restless)
	if err != nil {
		return err
	}
	w.settled = time.Since(began)
	if left != "" {
		w.find(stuck, "%s after the last fault: %s", settleLimit, left)
		return nil
	}
	for _, c := range w.ledger.customers {
		if c.has != nil {
			c.has()
		}
	}
	w.say("all that was due is done, %.1f s after the last fault; half an hour passes", w.settled.Seconds())
	if err := w.must(ctx, func(ctx context.Context) error { return w.town.Advance(ctx, "31m") }); err != nil {
		return err
	}
	left, err = w.until(ctx, func(ctx context.Context) (string, error) {
		left, err := w.restless(ctx)
		if err != nil || left != "" {
			return left, err
		}
		for query, what := range map[string]string{
			"SELECT count(*) FROM timeline WHERE kind = 'message' AND state = 'sent'": "messages have arrived and stand as sent",
			closable: "chats should have closed", acceptable: "chats should have gone on to another agent, or back to wait",
		} {
			if left, err = w.counted(ctx, w.sql(query), what); err != nil || left != "" {
				return left, err
			}
		}
		return "", nil
	})
	if left != "" {
		w.find(stuck, "%s after half an hour passed: %s", settleLimit, left)
	}
	if err != nil {
		return err
	}
	return w.stand(ctx)
}

// stand lets nothing more become due: what is counted is to be the same on all sides.
func (w *world) stand(ctx context.Context) error {
	err := w.must(ctx, func(ctx context.Context) error {
		return errors.Join(
			w.town.API.Call(ctx, http.MethodPatch, "/api/v1/configuration", gen.ConfigurationPatch{
				TransferChatsWithoutAgentAnswer: some(false), CloseChatsWithoutMessages: some(false),
			}, nil),
			w.town.API.Call(ctx, http.MethodPatch, "/api/v1/settings", gen.SettingsPatch{OperatorAcceptChatTimeout: nullable.NewNullableWithValue(600)}, nil))
	})
	if err != nil {
		return err
	}
	left, err := w.until(ctx, w.restless)
	if left != "" {
		w.find(stuck, "%s after nothing more became due: %s", settleLimit, left)
	}
	return err
}

// order switches on what the audit waits for.
func (w *world) order(ctx context.Context) error {
	err := w.town.API.Call(ctx, http.MethodPatch, "/api/v1/configuration", gen.ConfigurationPatch{
		CloseChatsWithoutMessages: some(true), CloseChatsMinutes: nullable.NewNullableWithValue(5),
	}, nil)
	for _, a := range w.agents {
		if err == nil {
			err = w.town.API.Call(ctx, http.MethodPatch, a.path(""), gen.AgentPatch{Enabled: some(true)}, nil)
		}
		if err == nil {
			err = a.present(ctx)
		}
	}
	return err
}

// must repeats what the administrator does until it comes through. Where it does not, what transactions were open is told.
func (w *world) must(ctx context.Context, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	held := make(chan string, 1)
	look := time.AfterFunc(15*time.Second, func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		held <- w.in.Database.Held(ctx)
	})
	for {
		err := do(limited)
		if err == nil || !passing(err) || !rest(limited, 200*time.Millisecond) {
			if !look.Stop() && err != nil {
				return fmt.Errorf("%w; open transactions:\n%s", err, <-held)
			}
			return err
		}
	}
}

// until asks until nothing is left, and returns what still is after settleLimit.
func (w *world) until(ctx context.Context, ask func(context.Context) (string, error)) (left string, err error) {
	limit := time.Now().Add(settleLimit)
	for {
		w.again(ctx)
		left, err = ask(ctx)
		if err == nil && left == "" || time.Now().After(limit) || !rest(ctx, 250*time.Millisecond) {
			return left, err
		}
	}
}

// restless says what is still to be done; empty: nothing.
func (w *world) restless(ctx context.Context) (string, error) {
	var left []string
	if n := w.in.Bot.Webhook().Pending; n > 0 {
		left = append(left, fmt.Sprint(n, " updates at Telegram"))
	}
	if n := w.in.Messenger.Pending(); n > 0 {
		left = append(left, fmt.Sprint(n, " events at the messenger"))
	}
	if n := w.in.XApp.Pending() + w.in.MetaApp.Pending(); n > 0 {
		left = append(left, fmt.Sprint(n, " events at X and Facebook"))
	}
	for query, what := range map[string]string{
		"SELECT count(*) FROM chats WHERE crm_due_at IS NOT NULL OR crm_until IS NOT NULL":          "chats due to the CRM",
		"SELECT count(*) FROM chats WHERE out_due_at IS NOT NULL OR out_until IS NOT NULL":          "chats due to a messenger",
		"SELECT count(*) FROM timeline WHERE kind = 'message' AND state IN ('accepted', 'sending')": "messages not sent",
		"SELECT count(*) FROM parts WHERE state IN ('planned', 'sending')":                          "parts not sent",
		"SELECT count(*) FROM files WHERE state = 'waiting' AND entry_id IS NOT NULL":               "files to be fetched",
		"SELECT count(*) FROM jobs WHERE state IN ('pending', 'running')":                           "jobs",
		"SELECT count(*) FROM environments WHERE sync_needed OR crm_retry_at IS NOT NULL":           "environments waiting for the CRM",
		w.sql(routable): "chats wait although an agent has room",
	} {
		n, err := w.counted(ctx, query, what)
		if err != nil {
			return "", err
		}
		if n != "" {
			left = append(left, n)
		}
	}
	return strings.Join(left, ", "), nil
}

func (w *world) counted(ctx context.Context, query, what string) (string, error) {
	n, err := w.in.Database.Int(ctx, query)
	if err != nil || n == 0 {
		return "", err
	}
	return fmt.Sprint(n, " ", what), nil
}

// routable are chats that wait in a queue that assigns, though someone of its team is active and has room.
const routable = `SELECT count(*) FROM chats AS c JOIN queues AS q ON q.id = c.queue_id
WHERE c.agent_id IS NULL AND c.closed_at IS NULL AND c.held_reason IS NULL AND q.rule = 'to_an_available_agent' AND EXISTS (
	SELECT 1 FROM agents AS a JOIN queue_agents AS qa ON qa.agent_id = a.id
	WHERE qa.queue_id = c.queue_id AND a.enabled AND a.status = 'active' AND a.deleted_at IS NULL AND a.max_load >= c.weight +
		coalesce((SELECT sum(o.weight) FROM chats AS o WHERE o.agent_id = a.id AND o.closed_at IS NULL AND NOT o.on_hold), 0))`

// closable are chats whose agent's last message was delivered more than ten minutes ago.
const closable = `SELECT count(*) FROM chats WHERE closed_at IS NULL AND agent_id IS NOT NULL AND NOT on_hold
AND closing_since IS NOT NULL AND closing_since < NOW - 600000000`

// acceptable are chats whose agent has not accepted them for ten minutes, longer than any timeout the administrator sets.
const acceptable = `SELECT count(*) FROM chats WHERE closed_at IS NULL AND accepted_at IS NULL AND NOT on_hold AND assigned_at < NOW - 600000000`

// sql fills in how the database tells the business time.
func (w *world) sql(query string) string {
	now := "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
	if w.plan.embedded {
		now = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	}
	return strings.ReplaceAll(query, "NOW", "("+now+" + (SELECT offset_us FROM clock))")
}
