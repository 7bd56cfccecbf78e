package load

import (
	"strconv"
	"time"
)

// Bodies are those of the kinds of channels, each a text of about 100 bytes of one of People customers, as the messenger
// spells it; account is the company's own id there.
func Bodies(kind, account string) func(b []byte, n int64) []byte {
	switch kind {
	case "custom":
		return custom
	case "x":
		return func(b []byte, n int64) []byte { return x(b, n, account) }
	case "messenger":
		return func(b []byte, n int64) []byte { return messenger(b, n, account) }
	default:
		return Telegram
	}
}

const words = " the quick brown fox jumps over the lazy dog and keeps on running until the line is full"

func writer(n int64) int64 { return 1_000_000 + n%People }

// custom is the protocol of channels/custom.
func custom(b []byte, n int64) []byte {
	user := writer(n)
	b = strconv.AppendInt(append(b, `{"type":"message","id":"m-`...), n, 10)
	b = strconv.AppendInt(append(b, `","user":{"id":"u-`...), user, 10)
	b = strconv.AppendInt(append(b, `","name":"Test User","username":"user`...), user, 10)
	b = strconv.AppendInt(append(b, `","language":"en"},"text":"message `...), n, 10)
	b = append(append(b, words...), `","at":"`...)
	return append(time.Now().UTC().AppendFormat(b, time.RFC3339Nano), `"}`...)
}

// x is the Account Activity envelope of a Direct Message (wire/x.md).
func x(b []byte, n int64, account string) []byte {
	user := strconv.FormatInt(writer(n), 10)
	b = append(append(b, `{"for_user_id":"`...), account...)
	b = strconv.AppendInt(append(b, `","direct_message_events":[{"type":"message_create","id":"`...), n, 10)
	b = strconv.AppendInt(append(b, `","created_timestamp":"`...), time.Now().UnixMilli(), 10)
	b = append(append(b, `","message_create":{"target":{"recipient_id":"`...), account...)
	b = append(append(b, `"},"sender_id":"`...), user...)
	b = strconv.AppendInt(append(b, `","message_data":{"text":"message `...), n, 10)
	b = append(append(b, words...), `","entities":{"hashtags":[],"symbols":[],"user_mentions":[],"urls":[]}}}}],"users":{"`...)
	b = append(append(append(append(b, user...), `":{"id":"`...), user...), `","name":"Test User","screen_name":"user`...)
	return append(append(b, user...), `"}}}`...)
}

// messenger is a delivery of a page with one message (wire/messenger.md).
func messenger(b []byte, n int64, page string) []byte {
	now := time.Now().UnixMilli()
	b = append(append(b, `{"object":"page","entry":[{"id":"`...), page...)
	b = strconv.AppendInt(append(b, `","time":`...), now, 10)
	b = strconv.AppendInt(append(b, `,"messaging":[{"sender":{"id":"`...), writer(n), 10)
	b = append(append(b, `"},"recipient":{"id":"`...), page...)
	b = strconv.AppendInt(append(b, `"},"timestamp":`...), now, 10)
	b = strconv.AppendInt(append(b, `,"message":{"mid":"m_`...), n, 10)
	b = strconv.AppendInt(append(b, `-AbC_dEf","text":"message `...), n, 10)
	return append(append(b, words...), `"}}]}]}`...)
}
