package creatiotest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// User is a user of the site.
type User struct {
	ID        string // of SysAdminUnit
	ContactID string
	Name      string
}

// AddUser makes an active user; an administrator is a member of the System
// administrators role, shown by SysUserInRole and SysAdminUnitInRole.
func (s *Server) AddUser(name, password string, administrator bool) User {
	contact := s.Add("Contact", map[string]any{"Name": name})
	unit := s.Add("SysAdminUnit", map[string]any{"Name": name, "Active": true, "ContactId": contact,
		"SysAdminUnitTypeValue": 4}) // 4: a user, not a role
	s.mu.Lock()
	s.users[name] = &account{name: name, password: password, unitID: unit}
	s.mu.Unlock()
	roles := []string{RoleAllEmployees}
	if administrator {
		roles = append(roles, RoleAdministrators)
	}
	for _, role := range roles {
		s.addIfShown("SysUserInRole", map[string]any{"SysUserId": unit, "SysRoleId": role})
		s.addIfShown("SysAdminUnitInRole", map[string]any{"SysAdminUnitId": unit, "SysAdminUnitRoleId": role})
	}
	return User{ID: unit, ContactID: contact, Name: name}
}

func (s *Server) addIfShown(object string, body map[string]any) {
	s.mu.Lock()
	_, shown := s.db.schemas[object]
	s.mu.Unlock()
	if shown {
		s.Add(object, body)
	}
}

// Deactivate makes a user inactive.
func (s *Server) Deactivate(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row, ok := s.db.find("SysAdminUnit", id); ok {
		row["Active"] = false
	}
}

// SetPassword changes a user's password and ends his sessions.
func (s *Server) SetPassword(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[name].password = password
	maps.DeleteFunc(s.sessions, func(_ string, c *session) bool { return c.user == name })
}

// SetAPIKey installs a package that takes this X-Api-Key.
func (s *Server) SetAPIKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.APIKey = key
}

// EndSessions ends every session and token: the next call of each gets 401.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
	clear(s.bearer)
}

// SetSetting sets a system setting; nil removes it.
func (s *Server) SetSetting(code string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == nil {
		delete(s.settings, code)
		return
	}
	s.settings[code] = value
}

// Add inserts a record as a user of the site would and returns its Id. It
// panics if the site refuses it: that is a mistake in the test.
func (s *Server) Add(object string, body map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, err := s.db.insert(s.db.schemas[object], overTheWire(body))
	if err != nil {
		panic(err)
	}
	return row["Id"].(string)
}

// overTheWire gives a body the types it would have after decoding a request.
func overTheWire(body map[string]any) (decoded map[string]any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		panic(err)
	}
	return decoded
}

// Remove deletes a record as a user of the site would.
func (s *Server) Remove(object, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.remove(s.db.schemas[object], id)
}

// Rows returns copies of an object's records in insertion order.
func (s *Server) Rows(object string) []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]Row, 0, len(s.db.tables[object]))
	for _, r := range s.db.tables[object] {
		rows = append(rows, maps.Clone(r))
	}
	return rows
}

// Row returns a copy of one record, nil if there is none.
func (s *Server) Row(object, id string) Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, _ := s.db.find(object, id)
	return maps.Clone(row)
}

// Chats returns the records of OmniChat in insertion order.
func (s *Server) Chats() []Row { return s.Rows("OmniChat") }

// Operators returns whom a chat was given to, one after another, from its first record on; a zero GUID is nobody.
func (s *Server) Operators(chatID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.given[chatID])
}

// Contacts returns the records of Contact in insertion order, the users' own
// included.
func (s *Server) Contacts() []Row { return s.Rows("Contact") }

// Messages returns the records of ChatMessages of one chat in insertion order;
// an empty id means all chats.
func (s *Server) Messages(chatID string) []Row {
	return slices.DeleteFunc(s.Rows("ChatMessages"), func(r Row) bool { return chatID != "" && r["OmniChatId"] != chatID })
}

// Doubled returns the values that more than one record of the object has in all
// the given columns: the sign of a record made twice.
func (s *Server) Doubled(object string, columns ...string) []string {
	seen := map[string]int{}
	var doubled []string
	for _, r := range s.Rows(object) {
		var key string
		for _, c := range columns {
			key += fmt.Sprintf("%v|", r[c])
		}
		if seen[key]++; seen[key] == 2 {
			doubled = append(doubled, key)
		}
	}
	return doubled
}

// Calls returns what the site received, oldest first, without passwords and
// tokens. Of very many only the latest are kept.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Received counts the requests to the site and to its identity service since it was started.
func (s *Server) Received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received
}

// Count is how many records of the object there are.
func (s *Server) Count(object string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.db.tables[object])
}

// ForgetCalls empties the log.
func (s *Server) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Logins counts the successful sign-ins and issued tokens.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}
