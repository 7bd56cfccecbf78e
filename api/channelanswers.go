package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"waggle/api/gen"
	"waggle/channels"
	"waggle/chat"
	"waggle/jobs"
	"waggle/store"
)

// channelStates are the states as seed 2's button names them (S2.22).
var channelStates = map[chat.ChannelState]gen.ChannelState{
	chat.ChannelInactive:     gen.ChannelStateInactive,
	chat.ChannelActive:       gen.ChannelStateActive,
	chat.ChannelDisconnected: gen.ChannelStateDisconnected,
}

// channelAnswer shows a channel; d describes its kind and public is our public address.
func channelAnswer(ch *store.Channel, d channels.Description, public string) gen.Channel {
	a := gen.Channel{
		ID: ch.ID, Kind: ch.Kind, Name: ch.Name, QueueID: idOrNull(ch.QueueID), Weight: ch.Weight, URL: orNull(ch.URL),
		Receive: gen.ReceiveMode(ch.Receive), Active: ch.State == chat.ChannelActive, AgentsMayStart: ch.AgentsMayStart,
		State: channelStates[ch.State],
		Health: gen.ChannelHealth{
			Receiving: gen.HealthSide{Ok: ch.ReceivingOK, Since: ch.ReceivingSince.Ptr(), Reason: orNull(ch.ReceivingWhy)},
			Sending:   gen.HealthSide{Ok: ch.SendingOK, Since: ch.SendingSince.Ptr(), Reason: orNull(ch.SendingWhy)},
		},
		Fields: map[string]string{}, LastInboundAt: ch.LastInboundAt.Ptr(), Dropped: ch.Dropped, Ignored: ch.Ignored, CreatedAt: ch.CreatedAt.Time,
	}
	if ch.AccountID != "" {
		a.Account = &gen.ChannelAccount{ID: ch.AccountID, Name: ch.AccountName}
	}
	if public != "" && ch.Receive == string(channels.Webhook) {
		a.Hook = &gen.ChannelHook{URL: public + jobs.HookPath(ch), Header: orNull(d.HookHeader), Instructions: d.HookHelp}
	}
	for _, f := range d.Fields {
		switch value, given := ch.Fields[f.Name]; {
		case f.Secret:
			a.Fields[f.Name] = maskedField
		case given:
			a.Fields[f.Name] = value
		}
	}
	return a
}

// connectProblem says why a channel could not be connected or changed.
func connectProblem(err error, d channels.Description) error {
	var refused *channels.Error
	var taken *store.AccountTakenError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jobs.ErrNoPublicURL):
		return noPublicURL(d).because(err)
	case errors.Is(err, jobs.ErrOtherAccount):
		return conflict("other-account", "These credentials belong to another account than this channel's. Add a new channel for that account.").because(err)
	case errors.As(err, &taken):
		return accountTaken(taken).because(err)
	case errors.As(err, &refused):
		return messengerProblem(refused, d).because(err)
	default:
		return storeProblem(err, "channel")
	}
}

func noPublicURL(d channels.Description) *problem {
	detail := d.Name + " delivers messages to a public address, and this installation has none: set public_url in the configuration, or PUBLIC_URL for the installation."
	for _, r := range d.Receive {
		if r == channels.Polling {
			detail += ` Or choose "polling" for receive.`
		}
	}
	p := conflict("no-public-url", detail)
	p.Errors = []gen.FieldError{field("public_url", "it is not set")}
	return p
}

func accountTaken(t *store.AccountTakenError) *problem {
	switch {
	case t.Foreign:
		return conflict("account-taken", "This account is connected elsewhere in this installation.")
	case t.Queue == "":
		return conflict("account-taken", fmt.Sprintf("This account is connected already, in the channel %q, which has no live chat (queue) yet.", t.Channel))
	default:
		return conflict("account-taken", fmt.Sprintf("This account is connected already, to the live chat (queue) %q, in the channel %q.", t.Queue, t.Channel))
	}
}

// messengerProblem words what the messenger said to Verify or Connect.
func messengerProblem(e *channels.Error, d channels.Description) *problem {
	switch {
	case e.Outcome == channels.Refused && e.Field == "":
		return fail(http.StatusUnprocessableEntity, "messenger-refused", fmt.Sprintf("%s refuses this: %s.", d.Name, e.Reason))
	case e.Outcome == channels.Refused && e.Field == "receive":
		return invalid(field("receive", e.Reason))
	case e.Outcome == channels.Refused:
		return invalid(field("fields."+e.Field, e.Reason))
	case e.Outcome == channels.Foreign:
		return conflict("account-used-elsewhere", e.Reason+". Send take_over: true to take it over.")
	default:
		p := fail(http.StatusBadGateway, "messenger-unavailable", fmt.Sprintf("%s could not be asked: %s. Try again.", d.Name, e.Reason))
		if e.Outcome == channels.RetryAt && !e.At.IsZero() {
			p.retryAfter = max(1, int(math.Ceil(time.Until(e.At).Seconds())))
		}
		return p
	}
}
