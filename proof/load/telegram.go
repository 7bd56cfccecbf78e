package load

import (
	"strconv"
	"time"
)

// People is how many customers the updates of Telegram are of.
const People = 10_000

// Telegram appends update n: a text of about 100 bytes of one of People customers.
func Telegram(b []byte, n int64) []byte { return telegram(b, n, People) }

// TelegramOf is Telegram with another number of customers.
func TelegramOf(people int64) func(b []byte, n int64) []byte {
	return func(b []byte, n int64) []byte { return telegram(b, n, people) }
}

func telegram(b []byte, n, people int64) []byte {
	user := 1_000_000 + n%people
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

// Repeating is body with repeats, as a messenger that believes a delivery lost makes them: from request first on, one of
// every so many is that before it. With several connections both are under way at once.
func Repeating(body func([]byte, int64) []byte, first, every int64) func([]byte, int64) []byte {
	return func(b []byte, n int64) []byte { return body(b, first+Distinct(n-first+1, every)-1) }
}

// Distinct is how many different deliveries are among n of Repeating.
func Distinct(n, every int64) int64 {
	if n == 0 {
		return 0
	}
	return (n-1)*(every-1)/every + 1
}
