package api

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// loginPath is where login windows return to.
const loginPath = "/login/"

//go:embed login.html
var loginTemplate string

var loginPage = template.Must(template.New("login").Parse(loginTemplate))

// BeginLogin names a messenger's login window.
func (s *Server) BeginLogin(ctx context.Context, r gen.BeginLoginRequestObject) (gen.BeginLoginResponseObject, error) {
	c, d, err := s.loginCaller(ctx, r.Kind)
	if err != nil {
		return nil, err
	}
	public, _, err := s.addresses(ctx, c)
	if err != nil {
		return nil, err
	}
	if public == "" {
		return nil, noPublicURL(d)
	}
	l, address, err := s.Jobs.BeginLogin(ctx, c.Environment, r.Kind, public+loginPath+r.Kind)
	var missing jobs.MissingSettings
	switch {
	case errors.As(err, &missing):
		return nil, settingsMissing(missing, d).because(err)
	case err != nil:
		return nil, err
	}
	return gen.BeginLogin201JSONResponse{ID: l.ID, URL: address, Callback: l.Callback, ExpiresAt: l.ExpiresAt.Time}, nil
}

// settingsMissing names each setting that is not populated (S3.30, S3.31).
func settingsMissing(codes []string, d channels.Description) *problem {
	p := conflict("settings-missing", fmt.Sprintf("%s cannot be logged in to before these system settings are populated: %s. Contact support.", d.Name, strings.Join(codes, ", ")))
	for _, code := range codes {
		p.Errors = append(p.Errors, field(loginSettingNames[code], code+" is not populated"))
	}
	return p
}

// loginCaller is a caller who may set up channels of this kind, which has a login.
func (s *Server) loginCaller(ctx context.Context, kind string) (caller, channels.Description, error) {
	c, err := chatAdministrator(ctx)
	if err != nil {
		return c, channels.Description{}, err
	}
	if _, is := s.Channels[kind].(channels.Logins); !is {
		return c, channels.Description{}, notFound("login")
	}
	d := s.describe(kind)
	return c, d, mayConfigure(c, d)
}

// returnFromLogin is where a browser arrives from a login window. Who comes proves by the state alone that the login was begun
// here: it is good once, and opens nothing but the environment it was begun in.
func (s *Server) returnFromLogin(c *fiber.Ctx) error {
	kind, source := c.Params("kind"), s.source(c)
	if c.Method() == fiber.MethodHead { // what looks at an address before a person opens it uses up no login
		return nil
	}
	if wait := s.wrongStates.exhausted(source); wait > 0 {
		return tooMany("returns from login windows that were not opened here", wait)
	}
	l, err := s.Jobs.EndLogin(c.UserContext(), kind, func(name string) string { return c.Query(name) })
	if errors.Is(err, store.ErrNotFound) {
		s.wrongStates.charge(source)
		return fail(http.StatusForbidden, "not-our-login", "This is not the answer to a login that was begun here, or it came too late or twice. Begin the login again.").because(err)
	}
	if err != nil {
		return err
	}
	e, err := s.Store.Environment(c.UserContext(), l.EnvironmentID)
	if err != nil {
		return err
	}
	view := struct{ Title, Text, CRM string }{
		Title: s.describe(kind).Name + ": logged in",
		Text:  "Close this window, or go back to the CRM, and choose what to connect.", CRM: addressOut(e),
	}
	if l.Why != "" {
		view.Title, view.Text = s.describe(kind).Name+": not logged in", l.Why
	}
	var page bytes.Buffer
	if err := loginPage.Execute(&page, view); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Send(page.Bytes())
}

// GetLogin shows what a login opened.
func (s *Server) GetLogin(ctx context.Context, r gen.GetLoginRequestObject) (gen.GetLoginResponseObject, error) {
	c, _, err := s.loginCaller(ctx, r.Kind)
	if err != nil {
		return nil, err
	}
	l, opened, err := s.Store.Login(ctx, c.Environment, r.Kind, r.LoginID)
	if err != nil {
		return nil, storeProblem(err, "login")
	}
	out := gen.GetLogin200JSONResponse{
		ID: l.ID, Status: loginStatus(l), Reason: orNull(l.Why), ExpiresAt: l.ExpiresAt.Time,
		Permissions: []gen.LoginPermission{}, Accounts: []gen.LoginAccount{},
	}
	for _, p := range opened.Permissions {
		shown := gen.LoginPermission{Name: p.Name, Granted: p.Granted}
		if !p.Granted {
			shown.Reason = orNull(p.Why)
		}
		out.Permissions = append(out.Permissions, shown)
	}
	for _, a := range opened.Accounts {
		out.Accounts = append(out.Accounts, gen.LoginAccount{ID: a.ID, Name: a.Name, CanConnect: a.Barred == "", Reason: orNull(a.Barred)})
	}
	return out, nil
}

func loginStatus(l *store.Login) gen.LoginStatus {
	switch {
	case l.Why != "":
		return gen.LoginStatusFailed
	case l.Secrets == nil:
		return gen.LoginStatusWaiting
	default:
		return gen.LoginStatusReady
	}
}

// CreateLoginChannels makes a channel of each chosen account, one after another. What fails on the way leaves those before it: a
// repetition goes on where it stopped.
func (s *Server) CreateLoginChannels(ctx context.Context, r gen.CreateLoginChannelsRequestObject) (gen.CreateLoginChannelsResponseObject, error) {
	c, d, err := s.loginCaller(ctx, r.Kind)
	if err != nil {
		return nil, err
	}
	l, opened, err := s.Store.Login(ctx, c.Environment, r.Kind, r.LoginID)
	if err != nil {
		return nil, storeProblem(err, "login")
	}
	if status := loginStatus(l); status != gen.LoginStatusReady {
		return nil, conflict("not-logged-in", "The login is not done: its window has not returned, or it failed. Begin it again.")
	}
	if missing := opened.Missing(); len(missing) > 0 {
		return nil, permissionsMissing(missing)
	}
	chosen, wrong := opened.Choose(r.Body.Accounts)
	if len(wrong) > 0 {
		var faults []gen.FieldError
		for _, n := range slices.Sorted(maps.Keys(wrong)) {
			faults = append(faults, field(fmt.Sprintf("accounts.%d", n), wrong[n]))
		}
		return nil, invalid(faults...)
	}
	queue := idOf(r.Body.QueueID)
	if err := s.knownQueue(ctx, c, queue); err != nil {
		return nil, err
	}
	slices.SortFunc(chosen, func(a, b channels.LoginAccount) int { return strings.Compare(a.Name, b.Name) })
	out := gen.CreateLoginChannels201JSONResponse{Items: []gen.Channel{}}
	for _, account := range chosen {
		made, err := s.loginChannel(ctx, c, d, account, queue)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, made)
	}
	return out, nil
}

func permissionsMissing(missing []channels.Permission) *problem {
	p := conflict("permissions-missing", "The login lacks permissions that channels need; log in again and permit them.")
	for _, m := range missing {
		p.Errors = append(p.Errors, field("permissions."+m.Name, m.Why))
	}
	return p
}

// loginChannel makes an account's channel, or gives the one it has the new credentials (S3.37, S3.38). What a login makes up is
// told to who logged in, again if he asks again, as the first answer may not have reached him; what an old channel has, it keeps.
func (s *Server) loginChannel(ctx context.Context, c caller, d channels.Description, account channels.LoginAccount, queue uuid.UUID) (gen.Channel, error) {
	id, err := s.Store.ChannelOfAccount(ctx, c.Environment, d.Kind, account.ID)
	if err == nil {
		return s.renewByLogin(ctx, c, d, account, id)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return gen.Channel{}, err
	}
	fields, wrong := s.channelFields(d, account.Fields, jobs.ChannelFields{}, strings.NewReplacer())
	if len(wrong) > 0 {
		return gen.Channel{}, invalid(wrong...)
	}
	ch := &store.Channel{
		EnvironmentID: c.Environment, Kind: d.Kind, Name: chat.Storable(account.Name), QueueID: queue, Weight: 1, Receive: string(d.Receive[0]),
		AccountID: account.ID, AccountName: chat.Storable(account.Name),
	}
	if id, err = s.Jobs.AddChannel(ctx, ch, fields, false, channels.ConnectOptions{}, store.Idem{}); err != nil {
		return gen.Channel{}, connectProblem(err, d)
	}
	return s.tellChannel(ctx, c, d, account, id, fields.Secret)
}

// tellChannel shows a channel with what its login made up, where that is what the channel has.
func (s *Server) tellChannel(ctx context.Context, c caller, d channels.Description, account channels.LoginAccount, id uuid.UUID, has map[string]string) (gen.Channel, error) {
	shown, err := s.showChannel(ctx, c, id)
	if err != nil {
		return shown, err
	}
	for _, f := range d.Fields {
		if f.Tell && has[f.Name] == account.Fields[f.Name] {
			shown.Fields[f.Name] = account.Fields[f.Name]
		}
	}
	return shown, nil
}

func (s *Server) renewByLogin(ctx context.Context, c caller, d channels.Description, account channels.LoginAccount, id uuid.UUID) (gen.Channel, error) {
	ch, err := s.Store.Channel(ctx, c.Environment, id)
	if err != nil {
		return gen.Channel{}, storeProblem(err, "channel")
	}
	secrets, err := s.Store.OpenSecrets(ch)
	if err != nil {
		return gen.Channel{}, err
	}
	given := maps.Clone(account.Fields)
	for _, f := range d.Fields {
		if f.Tell {
			delete(given, f.Name)
		}
	}
	fields, wrong := s.channelFields(d, given, jobs.ChannelFields{Plain: ch.Fields, Secret: secrets.Fields}, strings.NewReplacer())
	if len(wrong) > 0 {
		return gen.Channel{}, invalid(wrong...)
	}
	defer s.hooks.forget(id)
	if err := s.Jobs.ReplaceCredentials(ctx, ch, fields, ch.Receive, false); err != nil {
		return gen.Channel{}, connectProblem(err, d)
	}
	return s.tellChannel(ctx, c, d, account, id, fields.Secret)
}
