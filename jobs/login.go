package jobs

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"waggle/channels"
	"waggle/store"
)

// loginDeadline bounds what a browser waits for after a login window: a few calls one after another.
const loginDeadline = 25 * time.Second

// ErrNoLogin: channels of this kind are not made by logging in.
var ErrNoLogin = errors.New("channels of this kind are not made by logging in")

// MissingSettings are the codes of the settings that must be populated before anybody can log in (S3.30).
type MissingSettings []string

func (m MissingSettings) Error() string {
	return "these settings are not populated: " + strings.Join(m, ", ")
}

// BeginLogin opens a way through a messenger's login window and returns the window's address. callback is ours, where it returns to.
func (j *Jobs) BeginLogin(ctx context.Context, environment uuid.UUID, kind, callback string) (*store.Login, string, error) {
	logins, settings, err := j.logins(ctx, environment, kind)
	if err != nil {
		return nil, "", err
	}
	l, state, err := j.Store.BeginLogin(ctx, environment, kind, callback)
	if err != nil {
		return nil, "", err
	}
	address, err := logins.LoginURL(settings, callback, state)
	return l, address, err
}

// EndLogin takes what a login window returned with, once, and keeps what it opened. A messenger that does not accept the login, or
// cannot be asked, ends it: Why says so, and the person begins again. A window that was not opened here is store.ErrNotFound.
func (j *Jobs) EndLogin(ctx context.Context, kind string, query func(name string) string) (*store.Login, error) {
	l, err := j.Store.ReturnLogin(ctx, kind, query("state"))
	if err != nil {
		return nil, err
	}
	// The code is used up by now: a browser that goes away does not take the login with it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loginDeadline)
	defer cancel()
	logins, settings, err := j.logins(ctx, l.EnvironmentID, kind)
	if missing := (MissingSettings{}); errors.As(err, &missing) { // emptied meanwhile
		return l, j.Store.FinishLogin(ctx, l, channels.LoginResult{}, "The login cannot be finished: "+missing.Error()+". Contact support.")
	}
	if err != nil {
		return nil, err
	}
	opened, err := logins.Login(ctx, settings, l.Callback, query)
	why := ""
	if err != nil {
		e := channels.AsError(err)
		why = e.Reason
		j.Metrics.Errors.WithLabelValues("login", string(e.Outcome)).Inc()
		j.Log.Warn("a login at a messenger failed", slog.String("environment", l.EnvironmentID.String()), slog.String("kind", kind), slog.Any("error", err))
	}
	return l, j.Store.FinishLogin(ctx, l, opened, why)
}

// logins is the adapter of a kind with login, and the settings it goes by.
func (j *Jobs) logins(ctx context.Context, environment uuid.UUID, kind string) (channels.Logins, channels.LoginSettings, error) {
	logins, is := j.Channels[kind].(channels.Logins)
	if !is {
		return nil, channels.LoginSettings{}, ErrNoLogin
	}
	settings, err := j.Store.LoginSettings(ctx, environment)
	if missing := settings.Missing(); err == nil && len(missing) > 0 {
		err = MissingSettings(missing)
	}
	return logins, settings, err
}
