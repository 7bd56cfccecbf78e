package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"waggle/api/gen"
)

// duty is one kind of what the administrator does, and how often of all.
type duty struct {
	action
	share int
	do    func(ctx context.Context, r *rand.Rand) error
}

func (w *world) duties() []duty {
	return []duty{
		{letsMinutePass, 22, func(ctx context.Context, _ *rand.Rand) error { return w.town.Advance(ctx, "1m") }},
		{setsTransfers, 14, func(ctx context.Context, r *rand.Rand) error {
			return w.patch(ctx, "/configuration", gen.ConfigurationPatch{
				TransferChatsWithoutAgentAnswer: some(r.IntN(5) > 0), ChangeAgentMinutes: nullable.NewNullableWithValue(1 + r.IntN(4)),
			})
		}},
		{setsCloses, 14, func(ctx context.Context, r *rand.Rand) error {
			return w.patch(ctx, "/configuration", gen.ConfigurationPatch{
				CloseChatsWithoutMessages: some(r.IntN(5) > 0), CloseChatsMinutes: nullable.NewNullableWithValue(5 + r.IntN(3)),
			})
		}},
		{setsAcceptTimeout, 8, func(ctx context.Context, r *rand.Rand) error {
			return w.patch(ctx, "/settings", gen.SettingsPatch{OperatorAcceptChatTimeout: nullable.NewNullableWithValue(2 + r.IntN(5))})
		}},
		{changesRule, 8, func(ctx context.Context, r *rand.Rand) error { // in the other queue agents always race
			rule := []gen.RoutingRule{gen.RoutingRuleToAllAgents, gen.RoutingRuleToAnAvailableAgent}[r.IntN(2)]
			return w.patch(ctx, "/queues/"+w.queues[0].String(), gen.QueuePatch{RoutingRule: &rule})
		}},
		{switchesOff, 8, w.dismiss},
		{pressesFinish, 12, w.finishWizard},
		{pressesSynchronize, 14, func(ctx context.Context, _ *rand.Rand) error {
			return w.town.API.Call(ctx, http.MethodPost, "/api/v1/configuration/synchronize", nil, nil)
		}},
	}
}

// administer changes settings, presses Finish and Synchronize, and lets minutes pass. Whether a call comes through is the
// weather's matter; what never did comes first.
func (w *world) administer(ctx context.Context, r *rand.Rand) {
	var dice []duty
	for _, d := range w.duties() {
		dice = append(dice, slices.Repeat([]duty{d}, d.share)...)
	}
	for rest(ctx, between(r, 500*time.Millisecond, 2500*time.Millisecond)) {
		missed := slices.DeleteFunc(slices.Clone(dice), func(d duty) bool { return w.succeeded(d.action) })
		if len(missed) == 0 {
			missed = dice
		}
		d := pick(r, missed)
		_ = w.did(d.action, d.do(ctx, r))
	}
}

func some[T any](v T) *T { return &v }

func (w *world) patch(ctx context.Context, path string, in any) error {
	return w.town.API.Call(ctx, http.MethodPatch, "/api/v1"+path, in, nil)
}

// dismiss switches an agent off for a while: his chats go back to their queues.
func (w *world) dismiss(ctx context.Context, r *rand.Rand) error {
	a := w.agents[r.IntN(len(w.agents))]
	err := w.patch(ctx, "/agents/"+a.id.String(), gen.AgentPatch{Enabled: some(false)})
	rest(ctx, between(r, time.Second, 3*time.Second))
	_ = w.must(ctx, func(ctx context.Context) error {
		return w.town.API.Call(ctx, http.MethodPatch, a.path(""), gen.AgentPatch{Enabled: some(true)}, nil)
	})
	return err
}

// finishWizard walks Steps 2 and 3 again, with yes or no for what runs.
func (w *world) finishWizard(ctx context.Context, r *rand.Rand) (err error) {
	answers := []gen.YesNo{gen.YesNoYes, gen.YesNoNo}
	api := w.town.API.Once(uuid.NewString())
	in := gen.WizardFinishInput{SaveAfk: &answers[r.IntN(2)], CloseOld: &answers[r.IntN(2)]}
	for range 3 { // an answer that got lost is asked for again under the same key
		if err = api.Call(ctx, http.MethodPost, "/api/v1/wizard/finish", in, nil); err == nil || !passing(err) {
			return err
		}
	}
	return err
}
