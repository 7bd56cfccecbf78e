package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"waggle/channels/custom/customtest"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
	"waggle/crm/creatio/creatiotest"
	"waggle/proof/proxy"
	"waggle/proof/runner"
)

// A proof that tested less than it claims fails, and says what it did not test.
func TestAFaultThatNeverTookEffectIsAFinding(t *testing.T) {
	servers, embedded := effects{}, effects{}
	servers.expect([]fault{{name: "worker killed"}, {name: "CRM slow"}})
	servers.add("worker killed", 3, 2)
	servers.add("CRM slow", 4, 0)
	embedded.expect([]fault{{name: "disk full"}, {name: "CRM slow"}})
	embedded.add("CRM slow", 1, 1)
	all := effects{}
	all.of(servers)
	require.Equal(t, []string{"CRM slow"}, all.idle())
	all.of(embedded)
	require.Equal(t, []string{"disk full"}, all.idle(), "it took effect in one of the two places; what was never tried is missed too")

	var said strings.Builder
	require.False(t, all.verdict(&said, faultsStrike, fullLength))
	require.Equal(t, "The run shows less than it claims: 1 of 3 kinds of faults never took effect: disk full\n", said.String())
	require.True(t, all.verdict(&said, faultsStrike, fullLength-time.Second), "a shorter run only lists it")
	all.add("disk full", 1, 1)
	require.True(t, all.verdict(&said, faultsStrike, fullLength))
}

// What people were always refused was never tested.
func TestAnActionThatNeverSucceededIsAFinding(t *testing.T) {
	w := &world{actions: effects{}}
	for _, a := range everyAction {
		w.actions.add(string(a), 0, 0)
	}
	refused := errors.New("409")
	for _, a := range everyAction[1:] {
		require.ErrorIs(t, w.did(a, refused), refused)
		require.False(t, w.succeeded(a))
		require.NoError(t, w.did(a, nil))
		require.True(t, w.succeeded(a))
	}
	_ = w.did(everyAction[0], refused)
	var said strings.Builder
	require.False(t, w.actions.verdict(&said, peopleAct, fullLength))
	require.Equal(t, "The run shows less than it claims: 1 of 20 kinds of people's actions never succeeded: agent accepts a waiting chat\n", said.String())
	_ = w.did(everyAction[0], nil)
	require.True(t, w.actions.verdict(&said, peopleAct, fullLength))
}

// The administrator knows every duty that is expected of him.
func TestTheAdministratorHasEveryDuty(t *testing.T) {
	var done []action
	for _, d := range (&world{}).duties() {
		require.Positive(t, d.share, d.action)
		done = append(done, d.action)
	}
	require.ElementsMatch(t, everyAction[len(everyAction)-len(done):], done)
}

// Even if every fault lasts as long as it is let, a run of full length lets each strike.
func TestARunOfFullLengthHasEveryFault(t *testing.T) {
	for seed := range uint64(200) {
		for _, where := range []string{"both", "servers", "embedded"} {
			wanted, struck := effects{}, effects{}
			for _, p := range (plan{length: fullLength, seed: seed}).places(where) {
				w := idleWorld(p)
				for _, s := range w.expected() {
					wanted.expect(s.faults)
					order := &schedule{sky: s, r: w.random(s.actor), idle: func(fault) bool { return false }}
					for left := p.length; ; {
						pause, f, most := order.next(left)
						if left -= pause; left <= 0 {
							break
						}
						struck.add(f.name, 1, 0)
						left -= most
					}
				}
			}
			for name := range wanted {
				require.NotZero(t, struck[name].struck, "seed %d, %s: %s", seed, where, name)
			}
		}
	}
}

// Where the tool is missing that fills the disk, the fault is planned all the same: a run without it is found.
func TestTheDiskIsPlannedToGetFullEverywhere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	w := idleWorld(plan{embedded: true})
	for _, s := range w.expected() {
		w.effects.expect(s.faults)
	}
	require.Contains(t, w.effects.idle(), "disk full")
	w.disk().strike(t.Context(), w.random(1), func(n int) { w.took("disk full", n) })
	require.Contains(t, w.effects.idle(), "disk full")
}

// What has not taken effect comes first in the next round, once.
func TestWhatTookNoEffectComesAgainFirst(t *testing.T) {
	w := &world{plan: plan{seed: 1}, effects: effects{}}
	two := fault{name: "two"}
	s := &schedule{sky: sky{faults: []fault{{name: "one"}, two, two, {name: "three"}}}, r: w.random(1), idle: w.idle}
	draw := func(n int) (names []string) {
		for range n {
			_, f, _ := s.next(time.Minute)
			names = append(names, f.name)
		}
		return names
	}
	require.ElementsMatch(t, []string{"one", "two", "three"}, draw(3))
	w.took("one", 1)
	w.took("three", 1)
	require.Equal(t, []string{"two"}, draw(1))
	require.ElementsMatch(t, []string{"one", "two", "two", "three"}, draw(4))
	w.took("two", 1)
	require.ElementsMatch(t, []string{"one", "two", "two", "three"}, draw(4))
}

// idleWorld has what the faults ask for, and nobody in it.
func idleWorld(p plan) *world {
	return &world{plan: p, effects: effects{}, servers: &runner.Servers{}, in: &runner.Installation{
		Bot: &telegramtest.Bot{}, Messenger: &customtest.Messenger{}, X: &xtest.Server{}, XApp: &xtest.App{}, Facebook: &messengertest.Server{},
		MetaApp: &messengertest.App{}, CRM: &creatiotest.Server{}, Front: &runner.Front{}, ToDatabase: &proxy.Proxy{}, ToRedis: &proxy.Proxy{},
	}}
}
