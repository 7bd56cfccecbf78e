package app_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/app"
	"waggle/channels/custom/customtest"
	"waggle/channels/double"
	"waggle/channels/messenger/messengertest"
	"waggle/channels/telegram/telegramtest"
	"waggle/channels/x/xtest"
)

// tap hears what goes between Waggle and everybody else: what requests are signed with, and how Waggle answers what it refuses.
type tap struct {
	keys []string // of the signatures of what comes in

	mu         sync.Mutex
	signatures map[string]bool
	refusals   []string
}

// RoundTrip is for whoever calls Waggle.
func (l *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		l.signed(string(body))
		l.signed(r.URL.Query().Get("crc_token"))
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || res.StatusCode < http.StatusBadRequest && !strings.HasPrefix(r.URL.Path, "/login/") {
		return res, err
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(text), res.Body}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals = append(l.refusals, string(text))
	return res, nil
}

// signed notes every signature that something may have: the right one of what is refused, too.
func (l *tap) signed(what string) {
	for _, key := range l.keys {
		for _, sum := range []func() hash.Hash{sha256.New, sha1.New} {
			mac := hmac.New(sum, []byte(key))
			_, _ = io.WriteString(mac, what)
			l.note(hex.EncodeToString(mac.Sum(nil)), base64.StdEncoding.EncodeToString(mac.Sum(nil)), base64.URLEncoding.EncodeToString(mac.Sum(nil)))
		}
	}
}

func (l *tap) note(signatures ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range signatures {
		l.signatures[s] = true
	}
}

var oauthSignature = regexp.MustCompile(`oauth_signature="([^"]+)"`)

// before is a server through which Waggle calls a messenger; it notes what the calls are signed with.
func (l *tap) before(messenger string) (*httptest.Server, error) {
	to, err := url.Parse(messenger)
	return httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // an OAuth signature holds it
			for _, found := range oauthSignature.FindAllStringSubmatch(r.In.Header.Get("Authorization"), -1) {
				clear, _ := url.PathUnescape(found[1])
				l.note(found[1], clear)
			}
			if proof := r.In.URL.Query().Get("appsecret_proof"); proof != "" {
				l.note(proof)
			}
		},
		Transport:    &http.Transport{DisableKeepAlives: true}, // a broken connection is Waggle's to try again, not ours
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}), err
}

// allKinds is a place with a double of every messenger, listened to.
type allKinds struct {
	*place
	tap      *tap
	x        *xtest.Server
	facebook *messengertest.Server
	telegram *telegramtest.Server
	close    []func()
	planted  []string
}

// begin makes the doubles and has Waggle call them through the tap.
func (k *allKinds) begin(c *app.Config) error {
	k.x, k.facebook, k.telegram = xtest.New(xtest.WithAnyHook()), messengertest.New(), telegramtest.New()
	k.close = []func(){k.x.Close, k.facebook.Close, k.telegram.Close}
	for server, address := range map[*double.Base]*string{&k.x.Base: &c.XURL, &k.facebook.Base: &c.MessengerURL, &k.telegram.Base: &c.TelegramURL} {
		server.Outward.Transport = k.tap
		proxy, err := k.tap.before(server.URL)
		if err != nil {
			return err
		}
		k.close = append(k.close, proxy.Close)
		*address = proxy.URL
	}
	return nil
}

// One day of every kind of channel, in which what can fail does, and every messenger repeats in its refusals what it was sent:
// neither the log, in every detail, nor the metrics, nor an answer to a request that is refused holds a secret of a channel, a
// signature, or what people wrote.
func TestNoSecretOfAChannelLeaves(t *testing.T) {
	var doubles sync.Map
	everywhere(t, func(t *testing.T, p *place) {
		found, _ := doubles.Load(p.config.XURL)
		k := found.(*allKinds)
		k.place = p
		for _, end := range k.close {
			t.Cleanup(end)
		}
		p.api.HTTP.Transport, p.messenger.Outward.Transport = k.tap, k.tap
		p.wizard(0, 0)
		p.staff("Anna")
		p.card("Anna", body{"max_load": 10})
		for _, begin := range []func() kindsDay{k.customDay, k.telegramDay, k.xDay, k.facebookDay} {
			d := begin()
			k.planted = append(k.planted, d.secrets...)
			k.lives(d)
		}
		k.logsIn()
		k.nothingLeft()
	}, func(c *app.Config) {
		k := &allKinds{tap: &tap{keys: []string{xConsumerSecret, metaSecret}, signatures: map[string]bool{}}}
		require.NoError(t, k.begin(c))
		doubles.Store(c.XURL, k)
		c.LogTo, c.LogLevel = &capturedLog{}, "debug"
	})
}

// kindsDay is what a kind's channel has to live through.
type kindsDay struct {
	ch      gen.Channel
	secrets []string // that its calls prove themselves with
	writes  func(text string)
	arrives gen.MessageState // of what was sent and is in the messenger
	fails   func(...double.Fault)
	refuse  func(status int, words string) double.Fault
	checked func(double.Fault) // makes the check of new credentials fail
	wrong   body               // credentials that are not the account's, all with the word Wr0ng
	misfits body               // and such as are none
	proof   func(body string) (header, value string)
	queries []string // with which the hook is asked, and refuses
}

// lives goes through a day. The messenger quotes the message and the credentials in every refusal.
func (k *allKinds) lives(d kindsDay) {
	k.t.Helper()
	quote := func(text string) string { return fmt.Sprintf("'%s' by %s", text, strings.Join(d.secrets, " and ")) }
	var claims []string
	for _, value := range d.wrong {
		if strings.Contains(value.(string), "Wr0ng") {
			claims = append(claims, value.(string))
		}
	}
	d.writes("Hello " + private)
	chat := k.chatIn(d.ch)
	k.reaches("Anna", chat, "Good day "+private, d.arrives)
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized} {
		text := fmt.Sprint(status, " ", private)
		d.fails(d.refuse(status, quote(text)))
		shown := k.fails(chat, text)
		for _, secret := range d.secrets {
			require.NotContains(k.t, *shown.Error, secret, "nor do agents read it")
		}
	}
	k.reaches("Anna", chat, "Once more "+private, d.arrives)
	d.writes("Thanks " + private)

	path := "/channels/" + d.ch.ID.String()
	d.checked(d.refuse(http.StatusUnauthorized, fmt.Sprint(claims)))
	for _, fields := range []body{d.wrong, d.misfits} {
		require.GreaterOrEqual(k.t, k.send(http.MethodPatch, path, body{"fields": fields}).status, 400)
		require.GreaterOrEqual(k.t, k.send(http.MethodPost, "/channels", body{"kind": d.ch.Kind, "name": "Another", "fields": fields}).status, 400)
		require.Equal(k.t, http.StatusBadRequest, k.request(http.MethodPatch, "/api/v1"+path, []string{"Authorization", "Bearer " + k.api.Token, "Content-Type", "application/json"},
			strings.TrimSuffix(asJSON(k.t, body{"fields": fields}), "}")).status)
	}
	k.knocks(d)

	d.fails(double.Drop())
	var m gen.Message
	k.does(k.as("Anna"), http.MethodPost, "/chats/"+chat.String()+"/messages", body{"text": "Gone " + private}, &m)
	k.until("the lost answer is logged", func() bool {
		return slices.ContainsFunc(k.config.LogTo.(*capturedLog).lines(), func(line string) bool {
			return strings.Contains(line, m.ID.String()) && strings.Contains(line, "not sent to a messenger")
		})
	})
}

// chatIn waits for a channel's one chat to be Anna's.
func (k *allKinds) chatIn(ch gen.Channel) (id uuid.UUID) {
	k.t.Helper()
	k.until("its chat is there", func() bool {
		var list gen.ChatList
		k.get("/chats?channel_id="+ch.ID.String(), &list)
		if len(list.Items) == 0 {
			return false
		}
		id = list.Items[0].ID
		return k.holder(id) == "Anna"
	})
	return id
}

// knocks brings to a channel's hook what is not the messenger's, or not as the messenger writes.
func (k *allKinds) knocks(d kindsDay) {
	k.t.Helper()
	hook := "/hooks/" + d.ch.Kind + "/" + d.ch.ID.String()
	broken := `{"text":"` + private + `","secret":"` + d.secrets[0] + `"`
	header, right := d.proof(broken)
	_, another := d.proof("another")
	for value, status := range map[string]int{"": 401, "wrong " + private: 401, right + "x": 401, d.secrets[0] + "x": 401, right: 400} {
		require.Equal(k.t, status, k.request(http.MethodPost, hook, []string{header, value}, broken).status, header)
	}
	if another != right {
		require.Equal(k.t, 401, k.request(http.MethodPost, hook, []string{header, another}, broken).status)
	}
	for _, query := range d.queries {
		require.GreaterOrEqual(k.t, k.request(http.MethodGet, hook+"?"+query, nil).status, 400)
	}
}

func (k *allKinds) customDay() kindsDay {
	carl := k.messenger.Customer(customtest.Profile{ID: "carl", Name: "Carl " + private})
	return kindsDay{
		ch: k.channelNow(k.channel), secrets: []string{confirmationCode, url.PathEscape(confirmationCode)}, arrives: gen.MessageStateDelivered,
		writes: func(text string) {
			_, err := carl.Write(k.t.Context(), text)
			require.NoError(k.t, err)
		},
		fails: k.messenger.FailNext, checked: func(f double.Fault) { k.messenger.FailNext(f) },
		refuse: func(status int, words string) double.Fault {
			return double.Respond(status, "application/json", asJSON(k.t, body{"error": words}))
		},
		wrong:   body{"ConfirmationCode": "Wr0ngCode", "Webhook": k.messenger.WebhookURL() + "?token=Wr0ngToken", "PublicURL": k.crm.URL()},
		misfits: body{"Webhook": confirmationCode, "ConfirmationCode": strings.Repeat("Wr0ngLongCode", 50), "PublicURL": "Wr0ngURL"},
		proof:   func(string) (string, string) { return "X-Confirmation-Code", url.PathEscape(confirmationCode) },
	}
}

func (k *allKinds) telegramDay() kindsDay {
	bot := k.telegram.AddBot(botToken, "shop_bot")
	tom := bot.Customer(7, "Tom "+private)
	ch := k.bot(nil)
	k.planted = append(k.planted, bot.Webhook().Secret)
	return kindsDay{
		ch: ch, secrets: []string{botToken}, writes: func(text string) { tom.Write(text) }, arrives: gen.MessageStateDelivered,
		fails: func(f ...double.Fault) { bot.ResetLimits(); bot.FailNext("sendMessage", f...) }, checked: func(f double.Fault) { bot.FailNext("getMe", f) },
		refuse:  func(status int, words string) double.Fault { return telegramtest.Refuse(status, "Bad Request: "+words) },
		wrong:   body{"token": "222:Wr0ngToken"},
		misfits: body{"token": botToken + " and more"},
		proof:   func(string) (string, string) { return "X-Telegram-Bot-Api-Secret-Token", bot.Webhook().Secret },
	}
}

func (k *allKinds) xDay() kindsDay {
	app := k.x.AddApp(xConsumerKey, xConsumerSecret, bearer)
	tom := app.AddAccount("4337869213", "shop", xToken, xSecret).Customer("3001969357", "Tom "+private, "tom_writes")
	var ch gen.Channel
	k.post("/channels", body{"kind": "x", "name": "X", "queue_id": k.queue, "fields": xKeys()}, &ch)
	return kindsDay{
		ch: ch, secrets: []string{xToken, xSecret, xConsumerKey, xConsumerSecret, bearer}, writes: func(text string) { tom.Write(text) }, arrives: gen.MessageStateDelivered,
		fails: func(f ...double.Fault) { k.x.FailNext("send", f...) }, checked: func(f double.Fault) { k.x.FailNext("me", f) },
		refuse: func(status int, words string) double.Fault {
			return xtest.Refuse(status, asJSON(k.t, body{"title": http.StatusText(status), "detail": words, "type": "about:blank", "status": status}))
		},
		wrong:   xKeys("AccessSecret", "Wr0ngSecret", "BearerToken", "Wr0ngBearer"),
		misfits: xKeys("AccessSecret", xSecret+" and more", "ConsumerSecret", xConsumerSecret+"\n"),
		proof:   func(body string) (string, string) { return "X-Twitter-Webhooks-Signature", app.Sign([]byte(body)) },
		queries: []string{"crc_token=", "crc_token=%7B" + private},
	}
}

func (k *allKinds) facebookDay() kindsDay {
	app, page := k.facebook.AddApp(metaApp, metaSecret), k.facebook.AddPage("1", "Corner Shop")
	token, ann := page.Token(app), page.Customer("2001", "Ann", private)
	fields := func(token, secret, verify string) body {
		return body{"PageId": page.ID, "PageAccessToken": token, "AppId": metaApp, "AppSecret": secret, "VerifyToken": verify}
	}
	var ch gen.Channel
	k.post("/channels", body{"kind": "messenger", "name": "Facebook", "queue_id": k.queue, "fields": fields(token, metaSecret, verifyToken)}, &ch)
	require.NoError(k.t, app.SetWebhook(ch.Hook.URL, verifyToken))
	return kindsDay{
		ch: ch, secrets: []string{token, metaSecret}, writes: func(text string) { ann.Write(text) }, arrives: gen.MessageStateSent,
		fails: func(f ...double.Fault) { k.facebook.FailNext("messages", f...) }, checked: func(f double.Fault) { k.facebook.FailNext("node", f) },
		refuse: func(status int, words string) double.Fault {
			code := map[int]int{http.StatusBadRequest: 100, http.StatusUnauthorized: 190}[status]
			return messengertest.RefuseWith(status, code, 0, words)
		},
		wrong:   fields("EAABWr0ngToken", "Wr0ngAppSecret", verifyToken),
		misfits: fields(token+" and more", metaSecret+" and more", verifyToken+"\n"),
		proof: func(body string) (string, string) {
			return "X-Hub-Signature-256", app.Sign([]byte(body))["X-Hub-Signature-256"]
		},
		queries: []string{
			"hub.mode=subscribe&hub.challenge=1&hub.verify_token=Wr0ngVerifyToken", "hub.mode=subscribe&hub.verify_token=" + verifyToken, "hub.verify_token=" + verifyToken,
		},
	}
}

// logsIn goes through Facebook's window, in vain until nothing of it is refused.
func (k *allKinds) logsIn() {
	k.t.Helper()
	k.facebook.LogIn(k.facebook.AddPerson("77", "Pat").Manages(k.facebook.AddPage("2", "Cafe")))
	k.patch("/settings", body{
		"identity_server_url": k.facebook.URL + "/v25.0", "identity_server_client_id": metaApp, "identity_server_client_secret": metaSecret,
	}, nil)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var window gen.LoginWindow
	for _, refused := range []string{"oauth/access_token", "debug_token", "accounts", ""} { // one call after another
		k.post("/channels/messenger/login", nil, &window)
		res, err := browser.Get(window.URL)
		require.NoError(k.t, err)
		require.NoError(k.t, res.Body.Close())
		back, err := res.Location()
		require.NoError(k.t, err)
		code, state := back.Query().Get("code"), back.Query().Get("state")
		k.planted = append(k.planted, code, state)
		if refused != "" {
			quote := map[string]string{"oauth/access_token": code}[refused] + " by " + metaSecret
			k.facebook.FailNext(refused, messengertest.Refuse(100, 36009, "What is "+quote+"?"))
		}
		require.Equal(k.t, http.StatusOK, k.request(http.MethodGet, back.RequestURI(), nil).status)
		require.Equal(k.t, http.StatusForbidden, k.request(http.MethodGet, back.RequestURI(), nil).status, "a state is good once")
		login := k.send(http.MethodGet, "/channels/messenger/login/"+window.ID.String(), nil).text
		require.Equal(k.t, refused != "", strings.Contains(login, `"failed"`), login)
		for _, secret := range append(k.facebook.Tokens(), code, state, metaSecret) {
			require.NotContains(k.t, login, secret)
		}
	}
	var made gen.ChannelList
	k.post("/channels/messenger/login/"+window.ID.String()+"/channels", body{"accounts": []string{"2"}}, &made)
	k.planted = append(k.planted, made.Items[0].Fields["VerifyToken"], verifyToken)
	k.planted = append(k.planted, k.facebook.Tokens()...)
}

// nothingLeft looks through all that may be read by others than those it is for.
func (k *allKinds) nothingLeft() {
	k.t.Helper()
	metrics := k.request(http.MethodGet, "/metrics", nil)
	require.Equal(k.t, http.StatusOK, metrics.status)
	k.nothingClearOnDisk(k.planted)
	k.tap.mu.Lock()
	defer k.tap.mu.Unlock()
	log := k.config.LogTo.(*capturedLog).lines()
	for what, places := range map[string][]string{"log": log, "metrics": {metrics.text}, "refusals": k.tap.refusals} {
		require.NotEmpty(k.t, places, what)
	}
	require.Greater(k.t, len(log), 100, "the log was kept")
	require.Greater(k.t, len(k.tap.signatures), 100, "signatures were")
	words := slices.AppendSeq([]string{private, "Wr0ng"}, maps.Keys(k.tap.signatures))
	for _, secret := range k.planted {
		words = append(words, secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	for _, place := range slices.Concat(log, []string{metrics.text}, k.tap.refusals) {
		for _, word := range words {
			if strings.Contains(place, word) {
				require.Fail(k.t, "it leaves", "%q in\n%s", word, place)
			}
		}
	}
}
