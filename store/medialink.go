package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ErrLink is a link that opens nothing: made up, made for something else, or ended.
var ErrLink = errors.New("the link opens nothing")

// MediaLink makes a token that opens one file, by its address, without any other proof, until it ends.
func (s *Store) MediaLink(environment, entry uuid.UUID, n int, until time.Time) (string, error) {
	plain := binary.BigEndian.AppendUint64(environment[:], uint64(until.Unix())) //nolint:gosec // after 1970
	sealed, err := s.sealer.Seal(plain, aboutLink(entry, n))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// OpenMediaLink returns the environment of the file that a token opens at this time, or ErrLink.
func (s *Store) OpenMediaLink(token string, entry uuid.UUID, n int, now time.Time) (uuid.UUID, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return uuid.Nil, ErrLink
	}
	plain, err := s.sealer.Open(sealed, aboutLink(entry, n))
	if err != nil || len(plain) != len(uuid.UUID{})+8 {
		return uuid.Nil, ErrLink
	}
	environment, until := uuid.UUID(plain[:16]), binary.BigEndian.Uint64(plain[16:])
	if now.Unix() >= int64(until) { //nolint:gosec // we wrote it
		return uuid.Nil, ErrLink
	}
	return environment, nil
}

func aboutLink(entry uuid.UUID, n int) string { return fmt.Sprintf("media link %s/%d", entry, n) }
