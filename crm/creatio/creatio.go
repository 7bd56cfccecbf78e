// Package creatio connects Waggle to Creatio: OData 4 for the chat objects,
// DataService for system settings, in a session, by OAuth or by API key. Facts
// of the wire stand in wire/creatio.md.
package creatio

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"waggle/chat"
	"waggle/crm"
)

const kind = "creatio"

// administrators is the role System administrators of every site.
const administrators = "83a43ebc-f36b-1410-298d-001e8c82bcad"

// userType is SysAdminUnitTypeValue of a person's account; the other values
// are roles and portal users.
const userType = "4"

// usersPage is how many users one reading brings.
const usersPage = 500

// settingCodes are the system settings Waggle uses. What logging in at a
// messenger needs is set in Waggle alone: the CRM does not show its secret.
var settingCodes = []string{chat.CodeSiteURL, chat.CodeSimultaneousChats, chat.CodeAcceptTimeout}

// Adapter is Creatio under the CRM contract.
type Adapter struct {
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	sessions map[crm.Connection]*session
}

var _ crm.Adapter = (*Adapter)(nil)

// New makes the adapter. The client's redirects and cookies are not used; its
// transport is, so that a guarded client stays guarded. now tells when tokens
// end.
func New(client *http.Client, now func() time.Time) *Adapter {
	return &Adapter{client: withoutRedirects(client), now: now, sessions: map[crm.Connection]*session{}}
}

// Kind is "creatio".
func (a *Adapter) Kind() string { return kind }

// session returns the connection's one session. Whether its prefix is known
// already or was found out makes no other connection.
func (a *Adapter) session(c crm.Connection) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[unprefixed(c)]
	if !ok {
		s = newSession(a.client, a.now, c)
		a.sessions[unprefixed(c)] = s
	}
	return s
}

func unprefixed(c crm.Connection) crm.Connection {
	c.Prefix = ""
	return c
}

// keep makes a proven session the connection's and forgets those of the same
// environment that other credentials made.
func (a *Adapter) keep(c crm.Connection, s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.sessions, func(other crm.Connection, _ *session) bool { return other.Environment == c.Environment })
	a.sessions[unprefixed(c)] = s
}

// Check signs in anew, so that a session opened with an older password proves
// nothing. Administrator says whether the login is a member of the System
// administrators, by either object that may show it (UNVERIFIED which one does).
func (a *Adapter) Check(ctx context.Context, c crm.Connection) (crm.Site, error) {
	s := newSession(a.client, a.now, c)
	prefix, err := s.appPrefix(ctx)
	if err != nil {
		return crm.Site{}, err
	}
	if _, err := s.credential(ctx, 0); err != nil {
		return crm.Site{}, err
	}
	site := crm.Site{Prefix: prefix, Administrator: true}
	if c.Auth == crm.Login || c.Auth == "" {
		site.Administrator, err = s.isAdministrator(ctx, c.Login)
	} else {
		_, err = s.query(ctx, "SysAdminUnit", "select", "Id", "top", "1")
	}
	if err != nil {
		return crm.Site{}, crm.AsError(err)
	}
	site.Version = s.version(ctx)
	a.keep(c, s)
	return site, nil
}

func (s *session) isAdministrator(ctx context.Context, login string) (bool, error) {
	users, err := s.query(ctx, "SysAdminUnit", "filter", "Name eq "+quoted(login)+" and SysAdminUnitTypeValue eq "+userType, "select", "Id")
	if err != nil || len(users) != 1 {
		return false, noRightIsNo(err)
	}
	user := users[0].text("Id")
	routes := []struct{ object, filter string }{
		{"SysUserInRole", "SysUser/Id eq " + user + " and SysRole/Id eq " + administrators},
		{"SysAdminUnitInRole", "SysAdminUnit/Id eq " + user + " and SysAdminUnitRoleId eq " + administrators},
	}
	hidden := 0
	for _, r := range routes {
		rows, err := s.query(ctx, r.object, "filter", r.filter, "select", "Id", "top", "1")
		if len(rows) > 0 {
			return true, nil
		}
		if errors.Is(err, errNoObject) {
			hidden++
			continue
		}
		if err := noRightIsNo(err); err != nil {
			return false, err
		}
	}
	// A site that publishes no object with the roles shows nothing against the account; what it may not do, the CRM refuses.
	return hidden == len(routes), nil
}

// noRightIsNo: who may not read the roles is not taken for an administrator;
// any other error is one.
func noRightIsNo(err error) error {
	var e *crm.Error
	if errors.As(err, &e) && e.Cause == crm.Refused {
		return nil
	}
	return err
}

// version is empty where the site does not tell. Failure policy: nothing
// depends on it, so that every failure is an empty version.
func (s *session) version(ctx context.Context) string {
	var info struct {
		ApplicationInfo struct {
			SysValues struct{ CoreVersion string }
		}
	}
	if err := s.service(ctx, "/ServiceModel/ApplicationInfoService.svc/GetApplicationInfo", map[string]any{}, &info); err != nil {
		return ""
	}
	return info.ApplicationInfo.SysValues.CoreVersion
}

// Users returns the active persons of SysAdminUnit, by page, to the page that
// brings nobody new: a site may give less at once than it is asked for. The
// name is the contact's, or the login where there is none.
func (a *Adapter) Users(ctx context.Context, c crm.Connection) ([]crm.User, error) {
	s := a.session(c)
	var users []crm.User
	known := map[string]bool{}
	for read, more := 0, true; more; {
		rows, err := s.query(ctx, "SysAdminUnit", "filter", "SysAdminUnitTypeValue eq "+userType+" and Active eq true",
			"select", "Id,Name", "expand", "Contact($select=Name)", "orderby", "Id", "top", strconv.Itoa(usersPage), "skip", strconv.Itoa(read))
		if err != nil {
			return nil, crm.AsError(err)
		}
		read, more = read+len(rows), false
		for _, r := range rows {
			user := crm.User{ID: r.text("Id"), Name: r.text("Name")}
			if known[user.ID] {
				continue
			}
			known[user.ID], more = true, true
			if contact, _ := r["Contact"].(map[string]any); row(contact).text("Name") != "" {
				user.Name = row(contact).text("Name")
			}
			users = append(users, user)
		}
	}
	if len(users) == 0 {
		return nil, unavailable("the CRM shows no users; the account is one itself", nil)
	}
	return users, nil
}

// Settings reads the system settings by DataService (wire/creatio.md §4), which
// is internal: a site may hide it.
func (a *Adapter) Settings(ctx context.Context, c crm.Connection) (map[string]string, error) {
	var answer struct {
		Success bool
		Values  map[string]json.RawMessage
	}
	err := a.session(c).service(ctx, "/DataService/json/SyncReply/QuerySysSettings", map[string]any{"sysSettingsNameCollection": settingCodes}, &answer)
	if errors.Is(err, errNoService) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !answer.Success && len(answer.Values) == 0 {
		return nil, unavailable("the CRM does not show its system settings", nil)
	}
	settings := map[string]string{}
	for code, raw := range answer.Values {
		if value, ok := settingValue(raw); ok {
			settings[code] = value
		}
	}
	return settings, nil
}

// settingValue reads a setting that is an object with a value, or the bare
// value; sites answer both.
func settingValue(raw json.RawMessage) (string, bool) {
	var value any
	if decode(raw, &value) != nil {
		return "", false
	}
	if object, isObject := value.(map[string]any); isObject {
		value = object["value"]
	}
	switch v := value.(type) {
	case string:
		return v, v != ""
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
