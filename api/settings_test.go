package api

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"waggle/api/gen"
	"waggle/chat"
	"waggle/store"
)

func TestSettingsOfAFreshEnvironment(t *testing.T) {
	h, key := configured(t)
	var s gen.Settings
	h.call("GET", "/settings", key, nil).status(200).into(&s)
	require.False(t, s.ChatsEnabled, "S1.10")
	require.Equal(t, gen.DisplayPopup, s.Display, "S1.12")
	require.Equal(t, gen.IntegerSetting{Code: "SimultaneousChats", Value: 2, Source: gen.SettingSourceDefault}, s.SimultaneousChats, "S3.63")
	require.Equal(t, gen.IntegerSetting{Code: "OmniChatOperatorAcceptChatTimeout", Value: 5, Source: gen.SettingSourceDefault}, s.OperatorAcceptChatTimeout, "S3.15")
	require.Equal(t, testCRM, *s.SiteURL.Value, "S3.43")
	require.Equal(t, gen.SettingSourceDefault, s.SiteURL.Source)
}

func TestChangingSettings(t *testing.T) {
	h, key := configured(t)
	_, err := h.Server.Store.SaveSettings(context.Background(), h.environment(key), func(e *store.Environment) error {
		e.CRMSettings = []byte(`{"SimultaneousChats":"3","OmniChatOperatorAcceptChatTimeout":"7","SiteUrl":"https://crm.acme.example/0"}`)
		return nil
	})
	require.NoError(t, err)
	patch := func(in body) (s gen.Settings) {
		t.Helper()
		h.call("PATCH", "/settings", key, in).status(200).into(&s)
		return s
	}
	s := patch(body{"simultaneous_chats": 5, "operator_accept_chat_timeout": 2, "display": "section"})
	require.Equal(t, 5, s.SimultaneousChats.Value, "S3.64")
	require.Equal(t, gen.SettingSourceHere, s.SimultaneousChats.Source, "S3.64 set here wins")
	require.Equal(t, 3, *s.SimultaneousChats.CRMValue)
	require.Equal(t, 2, s.OperatorAcceptChatTimeout.Value, "S3.15")
	require.Equal(t, gen.DisplaySection, s.Display, "S1.11")
	require.Equal(t, gen.SettingSourceCRM, s.SiteURL.Source)
	s = patch(body{"simultaneous_chats": nil, "operator_accept_chat_timeout": nil})
	require.Equal(t, 3, s.SimultaneousChats.Value, "S3.64 null gives it back to the CRM")
	require.Equal(t, 7, s.OperatorAcceptChatTimeout.Value)
	require.Equal(t, 0, patch(body{"simultaneous_chats": 0}).SimultaneousChats.Value, "S3.64 0 = no limit")
	require.Equal(t, "https://yoursite.domain.com/0", *patch(body{"site_url": "https://yoursite.domain.com/0/"}).SiteURL.Value, "S3.43")
	require.Equal(t, "https://crm.acme.example/0", *patch(body{"site_url": nil}).SiteURL.Value, "S3.43")

	require.Equal(t, []string{"display"}, h.call("PATCH", "/settings", key, body{"display": "bubble"}).faults(), "S1.11")
	require.Equal(t, []string{"bot_timeout_minutes", "operator_accept_chat_timeout", "simultaneous_chats"},
		h.call("PATCH", "/settings", key, body{"simultaneous_chats": -1, "operator_accept_chat_timeout": 0, "bot_timeout_minutes": -1}).sortedFaults())
	require.Equal(t, []string{"site_url"}, h.call("PATCH", "/settings", key, body{"site_url": "https:///0"}).faults(), "S3.43 missing host")
}

func TestS1_10_SwitchingChatsOnAndOff(t *testing.T) {
	h, key := configured(t)
	var s gen.Settings
	h.call("PATCH", "/settings", key, body{"chats_enabled": true}).status(200).into(&s)
	require.True(t, s.ChatsEnabled)
	e, err := h.Server.Store.Environment(context.Background(), h.environment(key))
	require.NoError(t, err)
	require.False(t, e.ChatsEnabledAt.IsZero())
	h.call("PUT", "/wizard/waiting-periods", key, body{}).status(200)
	var done gen.WizardFinish
	h.call("POST", "/wizard/finish", key, nil).status(200).into(&done)
	require.Nil(t, done.Notice, "said only while chats are off")
	h.call("PATCH", "/settings", key, body{"chats_enabled": false}).status(200).into(&s)
	require.False(t, s.ChatsEnabled)
}

func TestS1_8_ChatAdministratorsEditChatSettings(t *testing.T) {
	h, key := configured(t)
	session := h.session(key, chat.ChatAdministrator, uuid.Nil)
	h.call("GET", "/settings", session, nil).status(200)
	h.call("PATCH", "/settings", session, body{"simultaneous_chats": 4}).status(200)
}
