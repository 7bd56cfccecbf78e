package chat

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// The codes of the settings that exist in Creatio too.
const (
	CodeSimultaneousChats = "SimultaneousChats"
	CodeAcceptTimeout     = "OmniChatOperatorAcceptChatTimeout"
	CodeSiteURL           = "SiteUrl"
)

// What counts where a setting has a value neither here nor in the CRM.
const (
	DefaultSimultaneousChats    = 2 // S3.63
	DefaultAcceptTimeoutMinutes = 5
	DefaultBotTimeoutMinutes    = 5
)

// Source says where the value in force comes from.
type Source string

// The sources of a setting's value. One set here wins over the CRM's.
const (
	SourceHere    Source = "here"
	SourceCRM     Source = "crm"
	SourceDefault Source = "default"
)

// Setting is a whole-number setting with the value in force.
type Setting struct {
	Code   string
	Value  int
	Source Source
	CRM    *int // the CRM's value as last read, if it has a usable one
}

// SimultaneousChats is how many open chats an agent without a Max load may have at a time; 0 means no limit (b11). here is
// the value set in Waggle, nil for none; fromCRM holds the CRM's settings by their codes.
func SimultaneousChats(here *int, fromCRM map[string]string) Setting {
	return setting(CodeSimultaneousChats, here, fromCRM, 0, DefaultSimultaneousChats)
}

// AcceptTimeout is how many minutes an agent has to accept a chat. An empty setting of the CRM arrives as 0 and means the
// default there too.
func AcceptTimeout(here *int, fromCRM map[string]string) Setting {
	return setting(CodeAcceptTimeout, here, fromCRM, 1, DefaultAcceptTimeoutMinutes)
}

// BotTimeout is after how many minutes a conversation is asked back from another app that leaves the client unanswered; 0 means
// never. The CRM knows no such setting.
func BotTimeout(here *int) Setting {
	return setting("", here, nil, 0, DefaultBotTimeoutMinutes)
}

func setting(code string, here *int, fromCRM map[string]string, minimum, otherwise int) Setting {
	s := Setting{Code: code, Value: otherwise, Source: SourceDefault}
	if n, err := strconv.Atoi(strings.TrimSpace(fromCRM[code])); err == nil && n >= minimum {
		s.CRM = &n
		s.Value, s.Source = n, SourceCRM
	}
	if here != nil {
		s.Value, s.Source = *here, SourceHere
	}
	return s
}

// ErrAddressExtra: a public address with more than scheme, host and path.
var ErrAddressExtra = errors.New("the address must not have a query or a fragment")

// PublicAddress returns the address at which messengers reach us, without a trailing slash. Plain http:// is refused unless
// allowHTTP.
func PublicAddress(s string, allowHTTP bool) (string, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case err != nil, u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return "", ErrAddressScheme
	case u.Hostname() == "" || u.User != nil:
		return "", ErrAddressHost
	case u.RawQuery != "" || u.Fragment != "":
		return "", ErrAddressExtra
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/"), nil
}
