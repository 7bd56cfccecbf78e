package messengertest

import (
	"net/http"
	"strconv"

	"waggle/channels/double"
)

// Refuse is any row of the error table (wire/messenger.md §4), with HTTP 400.
func Refuse(code, subcode int, message string) double.Fault {
	return RefuseWith(http.StatusBadRequest, code, subcode, message)
}

// RefuseWith is Refuse with another HTTP status.
func RefuseWith(status, code, subcode int, message string) double.Fault {
	fail := refuse(code, subcode, message)
	fail.status = status
	return double.Answer(func(w http.ResponseWriter) { writeError(w, fail) })
}

// TooFast is error 613, with a Retry-After of so many seconds if there are any.
func TooFast(seconds int) double.Fault {
	f := Refuse(613, 0, "(#613) Calls to this api have exceeded the rate limit.")
	if seconds > 0 {
		f = f.With("Retry-After", strconv.Itoa(seconds))
	}
	return f
}
