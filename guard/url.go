package guard

import (
	"errors"
	"net/url"
	"strconv"
)

// CheckURL says whether raw can be called at all: an absolute http or https URL with a host and without a user name or
// password. Its errors are sentences for people and never repeat raw, which may hold a secret. Whether the address is
// permitted is decided at each call, not here.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("this is not a URL")
	}
	return check(u)
}

func check(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must begin with https:// or http://")
	case u.User != nil:
		return errors.New("the URL must not contain a user name or password")
	case u.Hostname() == "":
		return errors.New("the URL names no host")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("the URL's port must be between 1 and 65535")
		}
	}
	return nil
}
