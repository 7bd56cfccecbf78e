package api

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

func TestContacts_S4_6(t *testing.T) {
	tm := newTeam(t)
	ann := tm.Agent("Ann")
	queue := tm.Queue(chat.ToAnAvailableAgent, 0, ann)
	hers, other := tm.Channel(queue, 1), tm.Channel(uuid.Nil, 1)
	tm.Writes(hers, "cyd")
	tm.Writes(hers, "cyd")
	tm.Writes(other, "bea")
	tm.route()

	var list gen.ContactList
	tm.do("GET", "/contacts", nil, 200, &list)
	require.Len(t, list.Items, 2, "a second message makes no second contact")
	require.Equal(t, "bea", list.Items[0].Name, "by name")
	tm.do("GET", "/contacts?limit=1&cursor=", nil, 200, &list)
	tm.do("GET", "/contacts?limit=1&cursor="+*list.NextCursor, nil, 200, &list)
	require.Equal(t, "cyd", list.Items[0].Name)
	tm.do("GET", "/contacts?channel_id="+other.String(), nil, 200, &list)
	require.Len(t, list.Items, 1)
	require.Equal(t, gen.Identity{ID: list.Items[0].Identities[0].ID, ChannelID: other, Kind: "telegram", ExternalID: "bea", Name: &list.Items[0].Name}, list.Items[0].Identities[0])
	require.Equal(t, gen.CRMStatePending, list.Items[0].CRM.State)
	bea := list.Items[0].ID

	asAnn := tm.session(tm.Key, chat.AgentRole, ann)
	tm.call("GET", "/contacts", asAnn, nil).status(200).into(&list)
	require.Len(t, list.Items, 1, "those of her chats")
	require.Equal(t, "cyd", list.Items[0].Name)
	tm.call("GET", "/contacts/"+bea.String(), asAnn, nil).problem(404)
	tm.call("GET", "/contacts/"+list.Items[0].ID.String(), asAnn, nil).status(200)
	tm.call("GET", "/contacts/"+bea.String(), tm.Key, nil).status(200)
	tm.call("GET", "/contacts/"+bea.String(), tm.secretKey(), nil).problem(404)
	tm.call("GET", "/contacts", "", nil).problem(401)
}

func TestContactInTheCRM(t *testing.T) {
	ref := uuid.New()
	for name, c := range map[string]struct {
		contact  store.Contact
		crmState string
		want     gen.CRMState
	}{
		"not yet pushed":            {store.Contact{}, store.CRMOK, gen.CRMStatePending},
		"made and pushed by Waggle": {store.Contact{CRMRef: ref, CRMOwn: true, CRMPushed: "x"}, store.CRMOK, gen.CRMStatePushed},
		"named but not proven":      {store.Contact{CRMRef: ref, CRMOwn: true}, store.CRMOK, gen.CRMStatePending},
		"the CRM had it":            {store.Contact{CRMRef: ref}, store.CRMOK, gen.CRMStatePushed},
		"refused":                   {store.Contact{CRMError: "no"}, store.CRMOK, gen.CRMStateRefused},
		"the CRM is away":           {store.Contact{}, store.CRMUnavailable, gen.CRMStatePaused},
		"the CRM refuses us":        {store.Contact{}, store.CRMRefused, gen.CRMStatePaused},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, contactInCRM(&c.contact, c.crmState).State) })
	}
}

func TestChannelKinds_S1_2_S2_19_S4_16(t *testing.T) {
	m := newMessengers(t)
	key := m.bind(m.key, "https://crm.example.com")
	var kinds gen.ChannelKindList
	m.call("GET", "/channel-kinds", key, nil).status(200).into(&kinds)
	require.Len(t, kinds.Items, 2)
	company, bot := kinds.Items[0], kinds.Items[1]
	require.Equal(t, "custom", company.Kind)
	require.Equal(t, "telegram", bot.Kind)
	require.Equal(t, "https://crm.example.com", *company.Fields[2].Default, "b42: the CRM's address")
	require.True(t, company.Fields[1].Secret)
	require.Equal(t, []gen.ReceiveMode{"webhook", "polling"}, bot.ReceiveModes)
	require.Equal(t, 4096, bot.Capabilities.TextLimit)
	require.Equal(t, 1024, bot.Capabilities.CaptionLimit)
	require.Nil(t, bot.Capabilities.WindowHours, "a bot may answer always")
	require.False(t, bot.Capabilities.Bots, "S3.57: bots of other apps are for Facebook Messenger alone")
	require.True(t, company.AdminsOnly, "S2.7")
	require.Equal(t, "X-Confirmation-Code", *company.HookHeader)
	require.Contains(t, company.HookHelp, "hook URL", "S2.21: it is told before there is a channel")
	require.True(t, company.Fields[0].URL)
	require.NotEmpty(t, bot.Fields[0].Help)
	m.call("GET", "/channel-kinds", "", nil).problem(401)
}

// M.5: a page of the CRM's origin may call.
func TestChannelsFromTheCRMsPages_M_5(t *testing.T) {
	m := newMessengers(t)
	m.bind(m.key, "https://crm.example.com")
	a := m.raw(http.MethodOptions, base+"/channels", "", nil, "Origin", "https://crm.example.com",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,idempotency-key")
	require.Equal(t, "https://crm.example.com", a.Header.Get("Access-Control-Allow-Origin"), "M.5: the CRM's own pages may")
	a = m.raw(http.MethodOptions, base+"/channels", "", nil, "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "POST")
	require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), "M.5: others may not")
}
