package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"waggle/chat"
	"waggle/store"
	"waggle/store/storetest"
)

const crmOne, crmTwo = "https://one.example.com", "https://two.example.com"

func apiKeyWay(url string) store.Credentials {
	return store.Credentials{CRMKind: "creatio", CRMURL: url, CRMPrefix: "?", Auth: "api_key", NewAPIKey: true}
}

func loginWay(url string) store.Credentials {
	return store.Credentials{CRMKind: "creatio", CRMURL: url, CRMPrefix: "/0", Auth: "login", Login: "Supervisor", Password: "s3cret", Checked: true}
}

// throughStep2 fills in Steps 1 and 2 with both processes on.
func throughStep2(t *testing.T, s *store.Store, environment uuid.UUID) {
	t.Helper()
	ctx := context.Background()
	_, _, err := s.PutCredentials(ctx, environment, apiKeyWay("https://"+environment.String()+".example.com"))
	require.NoError(t, err)
	ten, three := 10, 3
	_, err = s.PutWaitingPeriods(ctx, environment, chat.Period{On: true, Minutes: &ten}, chat.Period{On: true, Minutes: &three})
	require.NoError(t, err)
}

func TestBindingAKey(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		key, first := freshEnvironment(t, s)
		fresh, second := freshEnvironment(t, s)
		put := func(environment uuid.UUID, secretKey, url string) error {
			c := apiKeyWay(url)
			c.SecretKey = secretKey
			checked := s.CheckBinding(ctx, environment, secretKey, url)
			_, _, err := s.PutCredentials(ctx, environment, c)
			require.Equal(t, checked, err, "the check beforehand says the same")
			return err
		}
		require.ErrorIs(t, put(first, key+"x", crmOne), store.ErrKeyUnknown, "S0.5 an altered key")
		require.NoError(t, put(first, key, crmOne), "S0.5 its own key")
		require.NoError(t, put(first, "", crmOne), "S0.35 again in the same environment")
		require.ErrorIs(t, put(first, key, crmTwo), store.ErrKeyElsewhere, "S0.35 a second environment with the same key")
		require.ErrorIs(t, put(second, key, crmTwo), store.ErrKeyElsewhere, "S0.35 the key bound elsewhere")
		require.ErrorIs(t, put(second, fresh, crmOne), store.ErrAddressElsewhere, "S0.35 one environment per address")

		require.NoError(t, put(first, fresh, crmOne), "S0.35 binding anew takes a fresh key")
		_, err := s.Authenticate(ctx, key)
		require.ErrorIs(t, err, store.ErrRevoked, "the former key")
		b, err := s.Authenticate(ctx, fresh)
		require.NoError(t, err)
		require.Equal(t, first, b.EnvironmentID)
	})
}

func TestS0_9_ExpiredKeyBindsNothing(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, k, err := s.RequestKey(ctx, store.KeyOwner{Email: "a@example.com"})
		require.NoError(t, err)
		require.NoError(t, s.Advance(ctx, store.RequestedKeyLife-time.Hour))
		_, _, err = s.PutCredentials(ctx, k.EnvironmentID, apiKeyWay(crmOne))
		require.NoError(t, err, "S0.9 13 days and 23 hours")
		require.NoError(t, s.Advance(ctx, time.Hour))
		_, _, err = s.PutCredentials(ctx, k.EnvironmentID, apiKeyWay(crmOne))
		require.ErrorIs(t, err, store.ErrKeyExpired)
	})
}

func TestS0_35_TwoWizardsRaceForOneKey(t *testing.T) {
	s := storetest.Concurrent(t)
	ctx := context.Background()
	fresh, _ := freshEnvironment(t, s)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		_, environment := freshEnvironment(t, s)
		wg.Go(func() {
			c := apiKeyWay("https://" + environment.String() + ".example.com")
			c.SecretKey = fresh
			_, _, errs[i] = s.PutCredentials(ctx, environment, c)
		})
	}
	wg.Wait()
	bound := 0
	for _, err := range errs {
		if err == nil {
			bound++
		} else {
			assert.ErrorIs(t, err, store.ErrKeyElsewhere)
		}
	}
	assert.Equal(t, 1, bound)
}

func TestTheLastAcceptedWayWins(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		key, environment := freshEnvironment(t, s)
		connection := func(e store.Environment) (auth, password, apiKey string) {
			t.Helper()
			c, err := s.Connection(e)
			require.NoError(t, err)
			return string(c.Auth), c.Password, c.APIKey
		}
		e, made, err := s.PutCredentials(ctx, environment, apiKeyWay(crmOne))
		require.NoError(t, err)
		auth, password, apiKey := connection(e)
		require.Equal(t, []string{"api_key", "", made.Clear}, []string{auth, password, apiKey}, "S0.12")
		require.Equal(t, store.CRMUnchecked, e.CRMState)

		e, _, err = s.PutCredentials(ctx, environment, loginWay(crmOne))
		require.NoError(t, err)
		auth, password, apiKey = connection(e)
		require.Equal(t, []string{"login", "s3cret", ""}, []string{auth, password, apiKey}, "S0.13")
		require.Equal(t, store.CRMOK, e.CRMState)
		_, err = s.Authenticate(ctx, made.Clear)
		require.ErrorIs(t, err, store.ErrNotFound, "S0.12 the other way's secret is wiped")
		b, err := s.Authenticate(ctx, key)
		require.NoError(t, err)
		require.False(t, b.HasAPIKey)

		again := apiKeyWay(crmOne)
		again.NewAPIKey = false
		_, _, err = s.PutCredentials(ctx, environment, again)
		require.ErrorIs(t, err, store.ErrAPIKeyMissing)

		again.Auth, again.NewAPIKey = "oauth", true
		again.IdentityURL, again.ClientID, again.ClientSecret = "https://is.example.com", "waggle", "cl1ent"
		e, _, err = s.PutCredentials(ctx, environment, again)
		require.NoError(t, err)
		c, err := s.Connection(e)
		require.NoError(t, err)
		require.Equal(t, "cl1ent", c.ClientSecret)
		require.Empty(t, c.Password)
		require.Empty(t, e.Login)
		again.NewAPIKey, again.ClientSecret = false, ""
		e, _, err = s.PutCredentials(ctx, environment, again)
		require.NoError(t, err)
		c, err = s.Connection(e)
		require.NoError(t, err)
		require.Equal(t, "cl1ent", c.ClientSecret, "what was not sent again is kept")
	})
}

func TestS0_11_ReplacingTheAPIKey(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		first, until, err := s.ReplaceAPIKey(ctx, environment, 0)
		require.NoError(t, err)
		require.True(t, until.IsZero(), "there was none")
		second, until, err := s.ReplaceAPIKey(ctx, environment, 0)
		require.NoError(t, err)
		require.False(t, until.IsZero())
		_, err = s.Authenticate(ctx, first.Clear)
		require.Error(t, err, "the old one stops at once (b33)")
		third, _, err := s.ReplaceAPIKey(ctx, environment, 10)
		require.NoError(t, err)
		for _, key := range []store.Token{second, third} {
			_, err = s.Authenticate(ctx, key.Clear)
			require.NoError(t, err, "both work during the overlap")
		}
		require.NoError(t, s.Advance(ctx, 11*time.Minute))
		_, err = s.Authenticate(ctx, second.Clear)
		require.Error(t, err)
		_, err = s.Authenticate(ctx, third.Clear)
		require.NoError(t, err)
	})
}

func TestStepOrder(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		_, err := s.PutWaitingPeriods(ctx, environment, chat.Period{}, chat.Period{})
		require.ErrorIs(t, err, store.MissingStep(1), "S0.18")
		_, _, err = s.FinishWizard(ctx, environment, 0, nil, store.Idem{})
		require.ErrorIs(t, err, store.MissingStep(1), "S0.18")
		e, _, err := s.PutCredentials(ctx, environment, loginWay(crmOne))
		require.NoError(t, err)
		require.Equal(t, 2, e.WizardStep, "S0.4")
		_, _, err = s.FinishWizard(ctx, environment, 0, nil, store.Idem{})
		require.ErrorIs(t, err, store.MissingStep(2), "S0.18")
		e, err = s.PutWaitingPeriods(ctx, environment, chat.Period{}, chat.Period{})
		require.NoError(t, err, "S0.19 both empty")
		require.Equal(t, 3, e.WizardStep)
		f, _, err := s.FinishWizard(ctx, environment, 0, nil, store.Idem{})
		require.NoError(t, err)
		require.Empty(t, f.Started, "S0.19 neither process runs")
	})
}

func TestFinish(t *testing.T) {
	ctx := context.Background()
	yes, no := chat.Answers{chat.SaveAfkChats: true, chat.CloseOldChats: true}, chat.Answers{chat.SaveAfkChats: false, chat.CloseOldChats: false}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		throughStep2(t, s, environment)
		running := func() map[chat.ProcessName]int {
			n, err := s.RunningCounts(ctx, environment)
			require.NoError(t, err)
			return n
		}
		first, replayed, err := s.FinishWizard(ctx, environment, 1, nil, store.Idem{})
		require.NoError(t, err, "S0.29 the first wizard has no prompt")
		require.False(t, replayed)
		require.Len(t, first.Started, 2, "S0.33")
		again, replayed, err := s.FinishWizard(ctx, environment, 1, nil, store.Idem{})
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again, "S0.33 the same revision gives the same answer")
		require.Equal(t, map[chat.ProcessName]int{chat.SaveAfkChats: 1, chat.CloseOldChats: 1}, running(), "S0.33")

		var open *store.Unanswered
		_, _, err = s.FinishWizard(ctx, environment, 0, chat.Answers{chat.SaveAfkChats: false}, store.Idem{})
		require.ErrorAs(t, err, &open, "S0.29 a window must be answered")
		require.Len(t, open.Prompts, 1)
		require.Equal(t, chat.CloseOldChats, open.Prompts[0].Process)
		require.Equal(t, 1, running()[chat.SaveAfkChats], "nothing was done")

		key := store.Idem{Operation: "finishWizard", Key: "k", RequestHash: []byte("r")}
		for range 2 {
			_, _, err = s.FinishWizard(ctx, environment, 0, no, key)
			require.NoError(t, err)
		}
		require.Equal(t, 2, running()[chat.SaveAfkChats], "S0.33 the same Idempotency-Key is once")
		_, _, err = s.FinishWizard(ctx, environment, 0, no, store.Idem{})
		require.NoError(t, err)
		require.Equal(t, map[chat.ProcessName]int{chat.SaveAfkChats: 3, chat.CloseOldChats: 3}, running(), "S0.30 No lets N grow")

		mixed, _, err := s.FinishWizard(ctx, environment, 0, chat.Answers{chat.SaveAfkChats: true, chat.CloseOldChats: false}, store.Idem{})
		require.NoError(t, err)
		require.Len(t, mixed.Cancelled, 3)
		require.Equal(t, map[chat.ProcessName]int{chat.SaveAfkChats: 1, chat.CloseOldChats: 4}, running(), "S0.32 answered independently")

		_, err = s.PutWaitingPeriods(ctx, environment, chat.Period{}, chat.Period{})
		require.NoError(t, err)
		last, _, err := s.FinishWizard(ctx, environment, 0, yes, store.Idem{})
		require.NoError(t, err)
		require.Empty(t, last.Started, "S0.31 both off: Yes cancels, nothing starts (b28)")
		require.Empty(t, running())
		_, _, err = s.FinishWizard(ctx, environment, 99, nil, store.Idem{})
		require.ErrorIs(t, err, store.ErrConflict, "S0.33 a revision that does not exist")
	})
}

func TestS0_33_TwoFinishesOfOneRunAtOnce(t *testing.T) {
	s := storetest.Concurrent(t)
	ctx := context.Background()
	_, environment := freshEnvironment(t, s)
	throughStep2(t, s, environment)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			f, _, err := s.FinishWizard(ctx, environment, 1, nil, store.Idem{})
			assert.NoError(t, err)
			assert.Len(t, f.Started, 2)
		})
	}
	wg.Wait()
	n, err := s.RunningCounts(ctx, environment)
	require.NoError(t, err)
	require.Equal(t, map[chat.ProcessName]int{chat.SaveAfkChats: 1, chat.CloseOldChats: 1}, n)
}

func TestProcessLife(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		_, other := freshEnvironment(t, s)
		throughStep2(t, s, environment)
		_, _, err := s.FinishWizard(ctx, environment, 0, nil, store.Idem{})
		require.NoError(t, err)
		ps, _, err := s.Processes(ctx, environment, chat.SaveAfkChats, store.ProcessRunning, store.Page{Limit: 9})
		require.NoError(t, err)
		require.Len(t, ps, 1)
		due, err := s.RunningProcesses(ctx)
		require.NoError(t, err)
		require.Len(t, due, 2)

		require.NoError(t, s.ProcessRan(ctx, environment, ps[0].ID, 2, "", 5*time.Second))
		require.NoError(t, s.ProcessRan(ctx, environment, ps[0].ID, 1, "", 5*time.Second))
		p, err := s.Process(ctx, environment, ps[0].ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, p.Runs, "M.3 counts")
		require.EqualValues(t, 3, p.Affected, "M.3 counts")
		require.Equal(t, 5*time.Second, p.NextRunAt.Sub(p.LastRunAt.Time), "M.3 next run")

		_, _, err = s.CancelProcess(ctx, other, p.ID)
		require.ErrorIs(t, err, store.ErrNotFound, "another environment's")
		_, now, err := s.CancelProcess(ctx, environment, p.ID)
		require.NoError(t, err)
		require.True(t, now)
		require.NoError(t, s.ProcessRan(ctx, environment, p.ID, 1, "", 5*time.Second))
		p, now, err = s.CancelProcess(ctx, environment, p.ID)
		require.NoError(t, err)
		require.False(t, now, "cancelling twice is once")
		require.Equal(t, store.ProcessCanceled, p.State)
		require.True(t, p.NextRunAt.IsZero(), "M.2 a cancelled instance has no next run")
		require.EqualValues(t, 2, p.Runs, "M.2 nor a run any more")
	})
}

func TestSavingTheLeftPanel(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		seven := 7
		on := func(e *store.Environment) error { e.CloseOn, e.CloseMinutes = true, &seven; return nil }
		_, started, err := s.SaveConfiguration(ctx, environment, nil, on)
		require.NoError(t, err)
		require.Len(t, started, 1, "S0.41 saving starts an instance where none runs (b26)")
		_, started, err = s.SaveConfiguration(ctx, environment, nil, on)
		require.NoError(t, err)
		require.Empty(t, started)

		made, _, err := s.ReplaceAPIKey(ctx, environment, 0)
		require.NoError(t, err)
		e, _, err := s.SaveConfiguration(ctx, environment, &store.NewLogin{Login: "Supervisor", Password: "n3w"}, func(*store.Environment) error { return nil })
		require.NoError(t, err)
		require.True(t, e.SyncNeeded, "S0.54 Save stores unchecked (b35)")
		require.Equal(t, store.CRMUnchecked, e.CRMState)
		secrets, err := s.Secrets(e)
		require.NoError(t, err)
		require.Equal(t, store.Secrets{Password: "n3w"}, secrets)
		_, err = s.Authenticate(ctx, made.Clear)
		require.NoError(t, err, "the API key goes on opening the façade")

		back := apiKeyWay(crmOne)
		back.NewAPIKey = false
		_, _, err = s.PutCredentials(ctx, environment, back)
		require.ErrorIs(t, err, store.ErrAPIKeyMissing, "what the CRM is to be sent was wiped (b34)")
		back.APIKey = made.Clear
		e, _, err = s.PutCredentials(ctx, environment, back)
		require.NoError(t, err)
		secrets, err = s.Secrets(e)
		require.NoError(t, err)
		require.Equal(t, store.Secrets{APIKey: made.Clear}, secrets)
	})
}

func TestS1_10_SwitchingChatsOn(t *testing.T) {
	ctx := context.Background()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		_, environment := freshEnvironment(t, s)
		due := func(want bool) {
			t.Helper()
			n, err := s.DB().NewSelect().Model((*store.Chat)(nil)).Where("environment_id = ?", environment).
				Where("crm_due_at IS NOT NULL").Count(ctx)
			require.NoError(t, err)
			require.Equal(t, want, n == 1)
		}
		_, err := s.DB().NewInsert().Model(&store.Chat{
			ID: uuid.New(), EnvironmentID: environment, Number: 1, ChannelID: uuid.New(), IdentityID: uuid.New(), ContactID: uuid.New(),
			Weight: 1, OpenedAt: store.At(time.Now()), LastSeq: 2,
		}).Exec(ctx)
		require.NoError(t, err)
		e, err := s.Environment(ctx, environment)
		require.NoError(t, err)
		require.False(t, e.ChatsEnabled, "S1.10 off in a fresh environment")
		due(false)
		e, err = s.SaveSettings(ctx, environment, func(e *store.Environment) error { e.ChatsEnabled = true; return nil })
		require.NoError(t, err)
		require.False(t, e.ChatsEnabledAt.IsZero(), "the clocks count from now (b24)")
		due(true)
		since := e.ChatsEnabledAt
		require.NoError(t, s.Advance(ctx, time.Hour))
		e, err = s.SaveSettings(ctx, environment, func(e *store.Environment) error { e.ChatsEnabled = true; return nil })
		require.NoError(t, err)
		require.Equal(t, since, e.ChatsEnabledAt, "on and on again is no switching")
	})
}
