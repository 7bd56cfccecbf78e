package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// The prefixes of the tokens Waggle makes, by which people and secret scanners know them.
const (
	SecretKeyPrefix = "wsk_"
	APIKeyPrefix    = "wak_"
	SessionPrefix   = "wst_"
)

// Token is a bearer as it is made: its clear form is shown once, kept are only its hash and its hint.
type Token struct {
	Clear string
	Hash  []byte
	Hint  string // the last four characters
}

// newToken makes a token of 256 random bits.
func newToken(prefix string) Token {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program rather than give weak bits
	return tokenOf(prefix + base64.RawURLEncoding.EncodeToString(b[:]))
}

// tokenOf is a token that someone else chose.
func tokenOf(clear string) Token {
	return Token{Clear: clear, Hash: hashToken(clear), Hint: clear[max(0, len(clear)-4):]}
}

// hashToken is what a bearer is looked up by. A plain hash is enough for random tokens, and a lookup by it tells nothing by
// its duration.
func hashToken(clear string) []byte {
	h := sha256.Sum256([]byte(clear))
	return h[:]
}
