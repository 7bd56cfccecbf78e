package load

import (
	"strconv"
	"time"
)

// People is how many customers the updates of Telegram are of.
const People = 10_000

// Telegram appends update n: a text of about 100 bytes of one of People customers.
func Telegram(b []byte, n int64) []byte {
	user := 1_000_000 + n%People
	person := func(b []byte) []byte {
		b = strconv.AppendInt(append(b, `{"id":`...), user, 10)
		b = strconv.AppendInt(append(b, `,"first_name":"Test","last_name":"User","username":"user`...), user, 10)
		return append(b, '"')
	}
	b = strconv.AppendInt(append(b, `{"update_id":`...), n, 10)
	b = strconv.AppendInt(append(b, `,"message":{"message_id":`...), n, 10)
	b = append(person(append(b, `,"from":`...)), `,"is_bot":false,"language_code":"en"}`...)
	b = append(person(append(b, `,"chat":`...)), `,"type":"private"}`...)
	b = strconv.AppendInt(append(b, `,"date":`...), time.Now().Unix(), 10)
	b = strconv.AppendInt(append(b, `,"text":"message `...), n, 10)
	return append(b, ` the quick brown fox jumps over the lazy dog and keeps on running until the line is full"}}`...)
}
