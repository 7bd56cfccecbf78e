package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"waggle/crm"
)

// NewLogin is an administrator's login and password, saved in the left panel.
type NewLogin struct {
	Login    string
	Password string
}

// SaveConfiguration saves the left panel: change has the environment's present row and sets what is to be saved; it may be
// called more than once and has no other effect. A login is stored unchecked and calls for Synchronize (b35); it becomes the
// way into the CRM, and what was sent there before is wiped (b34) - the API key goes on opening the façade, though. Saving
// starts an instance of each process that is on and of which none runs; these are returned (b26).
func (s *Store) SaveConfiguration(ctx context.Context, environment uuid.UUID, login *NewLogin, change func(e *Environment) error) (Environment, []Process, error) {
	var started []Process
	e, err := s.changeEnvironment(ctx, environment, func(ctx context.Context, tx bun.Tx, e *Environment) error {
		if err := change(e); err != nil {
			return err
		}
		if login != nil {
			if err := s.saveLogin(ctx, tx, e, *login); err != nil {
				return err
			}
		}
		var err error
		started, err = s.ensureProcesses(ctx, tx, e)
		return err
	})
	return e, started, err
}

func (s *Store) saveLogin(ctx context.Context, tx bun.Tx, e *Environment, l NewLogin) error {
	e.Auth, e.Login, e.IdentityURL, e.ClientID = string(crm.Login), l.Login, "", ""
	e.SyncNeeded = true
	if err := s.seal(e, Secrets{Password: l.Password}); err != nil {
		return err
	}
	return s.setCRMState(ctx, tx, e, CRMUnchecked, "")
}
