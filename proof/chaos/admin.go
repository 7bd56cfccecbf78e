package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"waggle/api/gen"
)

// administer changes settings, presses Finish and Synchronize, and lets minutes pass. Whether a call comes through is the
// weather's matter.
func (w *world) administer(ctx context.Context, r *rand.Rand) {
	for rest(ctx, between(r, 500*time.Millisecond, 2500*time.Millisecond)) {
		switch dice := r.IntN(100); {
		case dice < 22:
			_ = w.town.Advance(ctx, "1m")
		case dice < 36:
			w.patch(ctx, "/configuration", gen.ConfigurationPatch{
				TransferChatsWithoutAgentAnswer: some(r.IntN(5) > 0), ChangeAgentMinutes: nullable.NewNullableWithValue(1 + r.IntN(4)),
			})
		case dice < 50:
			w.patch(ctx, "/configuration", gen.ConfigurationPatch{
				CloseChatsWithoutMessages: some(r.IntN(5) > 0), CloseChatsMinutes: nullable.NewNullableWithValue(5 + r.IntN(3)),
			})
		case dice < 58:
			w.patch(ctx, "/settings", gen.SettingsPatch{OperatorAcceptChatTimeout: nullable.NewNullableWithValue(2 + r.IntN(5))})
		case dice < 66:
			rule := []gen.RoutingRule{gen.RoutingRuleToAllAgents, gen.RoutingRuleToAnAvailableAgent}[r.IntN(2)]
			w.patch(ctx, "/queues/"+w.queues[0].String(), gen.QueuePatch{RoutingRule: &rule}) // in the other one agents always race
		case dice < 74:
			w.dismiss(ctx, r)
		case dice < 86:
			w.finishWizard(ctx, r)
		default:
			_ = w.town.API.Call(ctx, http.MethodPost, "/api/v1/configuration/synchronize", nil, nil)
		}
	}
}

func some[T any](v T) *T { return &v }

func (w *world) patch(ctx context.Context, path string, in any) {
	_ = w.town.API.Call(ctx, http.MethodPatch, "/api/v1"+path, in, nil)
}

// dismiss switches an agent off for a while: his chats go back to their queues.
func (w *world) dismiss(ctx context.Context, r *rand.Rand) {
	a := w.agents[r.IntN(len(w.agents))]
	w.patch(ctx, "/agents/"+a.id.String(), gen.AgentPatch{Enabled: some(false)})
	rest(ctx, between(r, time.Second, 3*time.Second))
	_ = w.must(ctx, func(ctx context.Context) error {
		return w.town.API.Call(ctx, http.MethodPatch, a.path(""), gen.AgentPatch{Enabled: some(true)}, nil)
	})
}

// finishWizard walks Steps 2 and 3 again, with yes or no for what runs.
func (w *world) finishWizard(ctx context.Context, r *rand.Rand) {
	answers := []gen.YesNo{gen.YesNoYes, gen.YesNoNo}
	api := w.town.API.Once(uuid.NewString())
	in := gen.WizardFinishInput{SaveAfk: &answers[r.IntN(2)], CloseOld: &answers[r.IntN(2)]}
	for range 3 { // an answer that got lost is asked for again under the same key
		if err := api.Call(ctx, http.MethodPost, "/api/v1/wizard/finish", in, nil); err == nil || !passing(err) {
			return
		}
	}
}
