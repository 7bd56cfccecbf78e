package creatiotest

import (
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

type account struct {
	name     string
	password string
	unitID   string
}

type session struct {
	user string
	csrf string
}

// login answers HTTP 200 for a right and for a wrong password; Code tells them
// apart (wire/creatio.md §2.1).
func (s *Server) login(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var in struct{ UserName, UserPassword string }
	if !isJSON(r.Header.Get("Content-Type")) || json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer := map[string]any{"Code": 1, "Message": "You have entered an incorrect username or password, or your account is inactive.",
		"Exception": nil, "PasswordChangeUrl": nil, "RedirectUrl": nil, "UserType": nil}
	user, ok := s.users[in.UserName]
	if !ok || subtle.ConstantTimeCompare([]byte(user.password), []byte(in.UserPassword)) != 1 || !s.active(user) {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	s.logins++
	token, csrf := newToken(), newToken()
	s.sessions[token] = &session{user: user.name, csrf: csrf}
	http.SetCookie(w, &http.Cookie{Name: ".ASPXAUTH", Value: token, Path: "/", HttpOnly: true})
	http.SetCookie(w, &http.Cookie{Name: "BPMCSRF", Value: csrf, Path: "/"})
	http.SetCookie(w, &http.Cookie{Name: "UserType", Value: "General", Path: "/"})
	if s.opts.Framework {
		http.SetCookie(w, &http.Cookie{Name: "BPMLOADER", Value: newToken(), Path: "/", HttpOnly: true})
	}
	answer["Code"], answer["Message"], answer["UserType"] = 0, "", "General"
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) active(user *account) bool {
	row, ok := s.db.find("SysAdminUnit", user.unitID)
	return ok && row["Active"] == true
}

// authenticate accepts a bearer token (no cookies, no BPMCSRF; wire §2.2), the
// API key where a package takes it, or a session. A write in a session needs
// the BPMCSRF cookie and a header equal to it, else 403 (wire §2.1).
func (s *Server) authenticate(r *http.Request, call *Call) *odataError {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if until, known := s.bearer[token]; !known || !s.opts.Now().Before(until) {
			return denied()
		}
		call.Auth = "oauth"
		return nil
	}
	if key := r.Header.Get("X-Api-Key"); key != "" && s.opts.APIKey != "" {
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.opts.APIKey)) != 1 {
			return denied()
		}
		call.Auth = "api-key"
		return nil
	}
	cookie, err := r.Cookie(".ASPXAUTH")
	if err != nil {
		return denied()
	}
	current, ok := s.sessions[cookie.Value]
	if !ok {
		return denied()
	}
	if r.Method != http.MethodGet {
		csrf, err := r.Cookie("BPMCSRF")
		if err != nil || csrf.Value != current.csrf || r.Header.Get("BPMCSRF") != csrf.Value {
			return &odataError{http.StatusForbidden, map[string]any{"Message": "CSRF token is missing or wrong."}}
		}
	}
	call.Auth, call.User = "cookie", current.user
	return nil
}

// serveIdentity is the identity service: client credentials as a form (wire
// §2.2).
func (s *Server) serveIdentity(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/connect/token" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, answer := s.token(r.PostForm)
	s.log(Call{Method: r.Method, Path: r.URL.Path, Status: status})
	writeJSON(w, status, answer)
}

func (s *Server) token(form url.Values) (int, map[string]any) {
	if form.Get("grant_type") != "client_credentials" {
		return http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"}
	}
	if s.opts.ClientID == "" || form.Get("client_id") != s.opts.ClientID || form.Get("client_secret") != s.opts.ClientSecret {
		return http.StatusBadRequest, map[string]any{"error": "invalid_client"}
	}
	s.logins++
	token := newToken()
	s.bearer[token] = s.opts.Now().Add(s.opts.TokenLife)
	return http.StatusOK, map[string]any{"access_token": token, "expires_in": int(s.opts.TokenLife.Seconds()), "token_type": "Bearer"}
}
