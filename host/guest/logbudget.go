package guest

import (
	"context"
	"log/slog"
	"time"

	"github.com/apphost/apphost/sdk/abi"
)

// What one session may log in a period. One with a long life gets as much
// again in the next, so that it does not fall silent for good.
const (
	logBudgetBytes  = 64 << 10
	logBudgetPeriod = time.Minute
	// logRecordBytes is charged for what is around the text of a record.
	logRecordBytes = 128
)

// LogBudget bounds what a guest makes its host log, which in a loop would
// fill a disk. The zero value is a full one. One goroutine uses it at a time.
type LogBudget struct {
	spent   int
	since   time.Time // start of the period
	dropped int
}

// Take reports whether a record with n bytes of text may be logged.
func (b *LogBudget) Take(n int) bool {
	n = min(n, abi.LogBytesMax) + logRecordBytes // LogText cuts it there
	if b.spent == 0 {
		b.since = time.Now()
	}
	if b.spent+n > logBudgetBytes {
		if time.Since(b.since) < logBudgetPeriod {
			b.dropped++
			return false
		}
		b.spent, b.since = 0, time.Now()
	}
	b.spent += n
	return true
}

// LogDropped logs how many records were not, if there are any, to the logger that
// it asks for then.
func (b *LogBudget) LogDropped(ctx context.Context, log func() *slog.Logger) {
	if b.dropped > 0 {
		log().WarnContext(ctx, "guest output dropped", "records", b.dropped)
		b.dropped = 0
	}
}
