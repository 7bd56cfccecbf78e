package telegram

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Many links over one long text, which Telegram does not send, cost no more than their own length.
func TestManyLongLinksAreReadInNoTime(t *testing.T) {
	all := make(links, 8000)
	for i := range all {
		all[i] = link{Type: "text_link", Length: 500_000, URL: "u"}
	}
	began := time.Now()
	text := all.shown(strings.Repeat("a", 500_000))
	assert.Less(t, time.Since(began), 5*time.Second, "it took more than a minute")
	assert.Len(t, text, 500_000+8000*len(" (u)"))
}

// A time that no database keeps would make a delivery fail again and again.
func TestMomentsStayWithinTheYearsThatCanBeWritten(t *testing.T) {
	assert.Equal(t, 9999, moment(math.MaxInt64).Year())
	assert.Equal(t, 1970, moment(math.MinInt64).Year())
	assert.Equal(t, int64(1780000000), moment(1780000000).Unix())
}
