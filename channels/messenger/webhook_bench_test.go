package messenger

import (
	"net/http"
	"testing"
)

// BenchmarkWebhook proves and reads one delivery.
func BenchmarkWebhook(b *testing.B) {
	a := New(http.DefaultClient, DefaultAPI)
	r := request(sealed(delivered("messaging", said(`"mid":"m_1","text":"Where is my order? It was to come yesterday, and nobody answers the telephone."`))))
	b.ReportAllocs()
	for b.Loop() {
		if d, err := a.Webhook(b.Context(), hookedChannel, r); err != nil || len(d.Events) != 1 {
			b.Fatal(d, err)
		}
	}
}
