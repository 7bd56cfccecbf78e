// Package creatiotest plays a Creatio site: its sign-in, its OData 4 service
// with the chat objects, its system settings, and its ways of failing. It is
// built to wire/creatio.md and refuses what a real site refuses. It is used by
// tests and by the demo.
package creatiotest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options say what kind of site to play. The zero value is a .NET (Core) site
// with forms login only.
type Options struct {
	Framework    bool   // .NET Framework: every app route below /0 (wire §1)
	Addr         string // where to listen; empty: any free loopback port
	APIKey       string // set: a CRM package is installed that takes this X-Api-Key
	ClientID     string // set: the identity service knows this OAuth client
	ClientSecret string
	TokenLife    time.Duration    // life of an OAuth token; 0: one hour
	NoBatch      bool             // $batch answers 404
	Hidden       []string         // objects that are not published through OData
	Version      string           // core version; empty: 8.1.2.3941
	Now          func() time.Time // the site's clock; nil: time.Now
}

// Call is one request the site received.
type Call struct {
	Method string
	Path   string
	Auth   string // "cookie", "oauth", "api-key" or "" for none or a refused one
	User   string // who signed in, for "cookie"
	Status int    // 0: the connection was cut
	Ops    []Op   // the OData operations in it
}

// Server is the site. Its methods are safe for concurrent use.
type Server struct {
	opts     Options
	site     *httptest.Server
	identity *httptest.Server

	mu       sync.Mutex
	db       *database
	users    map[string]*account
	sessions map[string]*session
	bearer   map[string]time.Time
	settings map[string]any
	logins   int
	received int
	calls    []Call
	spoilt   int           // requests that met a fault
	met      chan struct{} // closed and replaced whenever one does
	faults
}

// New starts a site. Close it after use.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = "8.1.2.3941"
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	s := &Server{opts: o, db: newDatabase(o.Now), users: map[string]*account{}, sessions: map[string]*session{}, bearer: map[string]time.Time{}, met: make(chan struct{}),
		settings: map[string]any{"OmniChatOperatorAcceptChatTimeout": 5, "SimultaneousChats": 2}}
	s.seed()
	for _, object := range o.Hidden {
		delete(s.db.schemas, object)
	}
	s.site = start(o.Addr, http.HandlerFunc(s.serve))
	s.identity = start("", http.HandlerFunc(s.serveIdentity))
	s.settings["SiteUrl"] = s.site.URL + s.prefix()
	return s
}

func start(addr string, h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	if addr != "" {
		if listener, err := net.Listen("tcp", addr); err == nil {
			_ = server.Listener.Close()
			server.Listener = listener
		}
	}
	server.Start()
	return server
}

// URL is the root of the site, without /0.
func (s *Server) URL() string { return s.site.URL }

// IdentityURL is the root of the identity service.
func (s *Server) IdentityURL() string { return s.identity.URL }

// Close stops the site and its identity service.
func (s *Server) Close() {
	s.site.CloseClientConnections()
	s.identity.CloseClientConnections()
	s.site.Close()
	s.identity.Close()
}

func (s *Server) prefix() string {
	if s.opts.Framework {
		return "/0"
	}
	return ""
}

func (s *Server) seed() {
	add := func(object string, body map[string]any) {
		if _, err := s.db.insert(s.db.schemas[object], body); err != nil {
			panic(err)
		}
	}
	for name, id := range map[string]string{"Waiting": StatusWaiting, "InProgress": StatusInProgress, "Completed": StatusCompleted, "BotProcessing": StatusBotProcessing} {
		add("OmnichannelChatStatus", map[string]any{"Id": id, "Name": name})
	}
	for name, id := range map[string]string{"Telegram": ProviderTelegram, "Facebook": ProviderFacebook, "WhatsApp": ProviderWhatsApp} {
		add("ChannelProvider", map[string]any{"Id": id, "Name": name})
	}
	for name, id := range map[string]string{"Email": CommunicationEmail, "Mobile phone": CommunicationMobilePhone,
		"Business phone": CommunicationWorkPhone, "Home phone": CommunicationHomePhone} {
		add("CommunicationType", map[string]any{"Id": id, "Name": name})
	}
	for _, code := range []string{"ForEveryone", "ForFree"} {
		add("OperatorRoutingRules", map[string]any{"Name": code, "Code": code})
	}
	for name, id := range map[string]string{"All employees": RoleAllEmployees, "System administrators": RoleAdministrators} {
		add("SysAdminUnit", map[string]any{"Id": id, "Name": name, "Active": true})
	}
}

// serve is one request from arrival to answer: faults that need no
// authentication first, then the route.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	request := Request{Method: r.Method, Path: r.URL.Path, Ops: s.opsOf(r, body)}
	act := s.planned(r.Context(), request)
	call := Call{Method: r.Method, Path: r.URL.Path, Ops: request.Ops}
	answer := httptest.NewRecorder()
	switch act.kind {
	case cutBefore:
	case answerStatus:
		answer.WriteHeader(act.status)
	case answerHTML:
		loginPage(answer)
	case answerCrash:
		writeJSON(answer, http.StatusInternalServerError, map[string]any{"Message": "An error has occurred.",
			"ExceptionMessage": "Object reference not set to an instance of an object.", "ExceptionType": "System.NullReferenceException", "StackTrace": ""})
	default:
		s.mu.Lock()
		s.route(answer, r, body, &call)
		s.mu.Unlock()
	}
	cut := act.kind == cutBefore || act.kind == cutAfter
	if !cut {
		call.Status = answer.Code
	}
	s.mu.Lock()
	s.log(call)
	if act.kind == cutAfter && answer.Code/100 == 2 {
		s.spoil()
	}
	s.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// keptCalls bounds the log, so that a demo may run for days.
const keptCalls = 50_000

// log is called with s.mu held.
func (s *Server) log(call Call) {
	s.received++
	if len(s.calls) >= keptCalls {
		s.calls = slices.Delete(s.calls, 0, keptCalls/10)
	}
	s.calls = append(s.calls, call)
}

// opsOf reads the OData operations of a request for the log and the faults; a
// malformed one has none here and is refused by its route.
func (s *Server) opsOf(r *http.Request, body []byte) []Op {
	path, ok := strings.CutPrefix(r.URL.Path, s.prefix()+"/odata/")
	if !ok {
		return nil
	}
	if path == "$batch" {
		_, ops, _ := parseBatch(body)
		return ops
	}
	op, err := parseOp(r.Method, path, r.URL.Query(), body)
	if err != nil {
		return nil
	}
	return []Op{op}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, body []byte, call *Call) {
	path := r.URL.Path
	inApp, below := strings.CutPrefix(path, s.prefix())
	switch {
	case path == "/ServiceModel/AuthService.svc/Login": // at the site's root on both flavours (wire §1)
		s.login(w, r, body)
	case s.opts.Framework && path == "/0/ServiceModel/AuthService.svc/Login":
		writeJSON(w, http.StatusUnauthorized, denied().body)
	case path == "/Login/NuiLogin.aspx" && s.opts.Framework, path == "/0/Login/NuiLogin.aspx" && s.opts.Framework, path == "/Login/Login.html" && !s.opts.Framework:
		loginPage(w)
	case !below:
		http.NotFound(w, r)
	case inApp == "/api/HealthCheck/Ping":
		_, _ = io.WriteString(w, "OK")
	case strings.HasPrefix(inApp, "/odata/"):
		if e := s.authenticate(r, call); e != nil {
			writeJSON(w, e.status, e.body)
			return
		}
		s.serveOData(w, r, strings.TrimPrefix(inApp, "/odata/"), body)
	case strings.HasPrefix(inApp, "/DataService/json/SyncReply/"), strings.HasPrefix(inApp, "/ServiceModel/"):
		if e := s.authenticate(r, call); e != nil {
			s.refuseService(w, e)
			return
		}
		s.serveService(w, r, inApp, body)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) serveOData(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodDelete && !isJSON(r.Header.Get("Content-Type")) {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]any{"Message": "The request entity's media type is not supported for this resource."})
		return
	}
	if path == "$batch" && r.Method == http.MethodPost && !s.opts.NoBatch {
		s.batch(w, r, body)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, badRequest("The query is malformed.").body)
		return
	}
	if path == "$batch" {
		http.NotFound(w, r)
		return
	}
	op, err := parseOp(r.Method, path, query, body)
	if err != nil {
		e := asODataError(err)
		writeJSON(w, e.status, e.body)
		return
	}
	res := s.execute(op)
	if res.body == nil {
		w.WriteHeader(res.status)
		return
	}
	writeJSON(w, res.status, res.body)
}

func loginPage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>Creatio</title></head><body>Log in</body></html>")
}

func newToken() string { return strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "") }
