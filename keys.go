package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"waggle/app"
	"waggle/chat"
	"waggle/keyring"
	"waggle/store"
)

// keysCommand is the operator's way to hand out secret keys.
type keysCommand struct {
	app.Config `embed:""`

	Issue   keysIssue   `cmd:"" help:"Issue a secret key with an empty environment and print it. It is shown only once."`
	List    keysList    `cmd:"" help:"List the secret keys with their environments. The keys themselves are never shown."`
	Extend  keysExtend  `cmd:"" help:"Make a key valid for some days from now, or without end. Chats held because it expired are released."`
	Revoke  keysRevoke  `cmd:"" help:"End a key at once."`
	Release keysRelease `cmd:"" help:"Free a key from its environment, so that it can be used in another one."`

	RotateKeyset keysRotateKeyset `cmd:"" help:"Change the key that encrypts stored secrets: run it three times, with a restart of every process after each."`
}

type keysIssue struct {
	Company string `help:"Company the key is for."`
	Phone   string `help:"Phone number of the contact person."`
	Email   string `help:"E-mail of the contact person."`
	validity
}

// validity is how long a key opens its environment.
type validity struct {
	Days int `help:"Days the key is valid from now; 0: without end." default:"0"`
}

// Validate refuses what would otherwise be taken for a key without end.
func (v validity) Validate() error {
	const century = 36525
	if v.Days < 0 || v.Days > century {
		return fmt.Errorf("--days must be 0, for a key without end, or up to %d; to end a key at once: waggle keys revoke", century)
	}
	return nil
}

func (v validity) duration() time.Duration { return time.Duration(v.Days) * 24 * time.Hour }

type keysList struct{}

type keysExtend struct {
	ID uuid.UUID `arg:"" help:"The key's id, from keys list."`
	validity
}

type keysRevoke struct {
	ID uuid.UUID `arg:"" help:"The key's id, from keys list."`
}

type keysRelease struct {
	ID uuid.UUID `arg:"" help:"The key's id, from keys list."`
}

type keysRotateKeyset struct{}

// withStore opens the database for one command and says what to do where its schema is missing.
func (c *keysCommand) withStore(ctx context.Context, f func(*store.Store) error) error {
	s, err := app.OpenStore(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if err := app.SchemaIsCurrent(ctx, s); err != nil {
		return err
	}
	return f(s)
}

func (k *keysIssue) Run(ctx context.Context, c *commands) error {
	return c.Keys.withStore(ctx, func(s *store.Store) error {
		email := chat.Email(k.Email)
		if k.Email != "" && email == "" {
			return fmt.Errorf("%q is not an e-mail address", k.Email)
		}
		owner := store.KeyOwner{Company: k.Company, Phone: k.Phone, Email: email}
		token, key, err := s.IssueKey(ctx, owner, k.duration())
		if err != nil {
			return err
		}
		fmt.Println(token)
		fmt.Fprintf(os.Stderr, "id %s, valid %s. The key is shown only this once; it is the wizard's Secret key.\n", key.ID, ending(key.ExpiresAt))
		return nil
	})
}

func (k *keysList) Run(ctx context.Context, c *commands) error {
	return c.Keys.withStore(ctx, func(s *store.Store) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tKEY\tSOURCE\tCOMPANY\tE-MAIL\tVALID\tCRM")
		for _, k := range keys {
			valid := ending(k.ExpiresAt)
			if !k.RevokedAt.IsZero() {
				valid = "revoked"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Hint, k.Source, k.Company, k.Email, valid, k.CRMURL)
		}
		return w.Flush()
	})
}

func (k *keysExtend) Run(ctx context.Context, c *commands) error {
	return c.Keys.withStore(ctx, func(s *store.Store) error {
		var until time.Time
		if k.Days > 0 {
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			until = now.Add(k.duration())
		}
		key, err := s.ExtendKey(ctx, k.ID, until)
		if err != nil {
			return err
		}
		fmt.Println("valid", ending(key.ExpiresAt))
		return nil
	})
}

func (k *keysRevoke) Run(ctx context.Context, c *commands) error {
	return c.Keys.withStore(ctx, func(s *store.Store) error {
		if _, err := s.RevokeKey(ctx, k.ID); err != nil {
			return err
		}
		fmt.Println("revoked")
		return nil
	})
}

func (k *keysRelease) Run(ctx context.Context, c *commands) error {
	return c.Keys.withStore(ctx, func(s *store.Store) error {
		if _, err := s.ReleaseKey(ctx, k.ID); err != nil {
			return err
		}
		fmt.Println("released")
		return nil
	})
}

func (k *keysRotateKeyset) Run(ctx context.Context, c *commands) error {
	step, err := app.RotateKeyset(ctx, c.Keys.Config)
	if err != nil {
		return err
	}
	switch step {
	case keyring.Added:
		fmt.Println("A new key was added. Back the keyset up, give it to every process, restart them, then run this again to use it.")
	case keyring.InUse:
		fmt.Println("The new key is in use; what was encrypted before still opens. Back the keyset up, give it to every process, restart them, then run this again to retire the old keys.")
	case keyring.Retired:
		fmt.Println("Everything stored was encrypted anew and the old keys are retired. Back the keyset up and give it to every process. Backups of the database from before need the keyset of their time.")
	}
	return nil
}

func ending(until store.Time) string {
	if until.IsZero() {
		return "without end"
	}
	return "until " + until.Format(time.RFC3339)
}
