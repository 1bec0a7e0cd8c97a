package bench
import ("testing";"os";"time";"sync/atomic";"strings";"strconv")
func TestProf(t *testing.T){
 k,_:=os.ReadFile("/tmp/key")
 n,_:=strconv.Atoi(os.Getenv("FROM"))
 var next atomic.Int64; next.Store(int64(n))
 secs,_:=strconv.Atoi(os.Getenv("SECS")); if secs==0 {secs=8}
 r,err:=accepted(target{"127.0.0.1:8282",strings.TrimSpace(string(k)),os.Getenv("PREFER")},64,time.Duration(secs)*time.Second,&next)
 t.Log(r,err, next.Load())
}
