package sandbox
import ("testing";"context";"net/http";"net/http/httptest";"io";"sync/atomic";"strconv";"time";"os";"os/exec";"bufio";"strings";"sync";"fmt";"lastcall/gateway/whatsapp")
func TestAdhocWebhooks(t *testing.T){
 var n atomic.Int64; var posts atomic.Int64
 web:=httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){raw,_:=io.ReadAll(r.Body);n.Add(int64(strings.Count(string(raw),`"timestamp"`)));posts.Add(1)}))
 w:=start(t,Config{WebhookURL:web.URL}); w.set(`{"read":1,"sent_delay_ms":0}`)
 c:=w.client(); const N=50000; var k atomic.Int64; t0:=time.Now(); var wg sync.WaitGroup
 for range 32 { wg.Go(func(){ for { i:=k.Add(1); if i>N {return}; c.Send(context.Background(), newMessage("+25078"+strconv.FormatInt(10000000+i,10),"01890a5d-ac96-774b-bcce-b302099a8057/"+strconv.Itoa(int(i))+"/1"))}})}
 wg.Wait(); fmt.Println("sent", float64(N)/time.Since(t0).Seconds(), "msg/s; statuses so far", n.Load())
 for n.Load()<3*N {time.Sleep(time.Millisecond)}
 fmt.Println("all statuses", time.Since(t0), posts.Load())
}
func TestAdhocSeparate(t *testing.T){
 cmd:=exec.Command(os.Args[0]); cmd.Env=append(os.Environ(),"SANDBOX_TO_KILL="+t.TempDir(),"GOMAXPROCS=1"); out,_:=cmd.StdoutPipe(); cmd.Start(); a,_:=bufio.NewReader(out).ReadString('\n')
 cf:=credentials; cf.BaseURL="http://"+strings.TrimSpace(a); c:=whatsapp.New(cf)
 const N=100000; var k atomic.Int64; t0:=time.Now(); var wg sync.WaitGroup
 for range 64 { wg.Go(func(){ for { i:=k.Add(1); if i>N {return}; c.Send(context.Background(), newMessage("+25078"+strconv.FormatInt(10000000+i,10),"01890a5d-ac96-774b-bcce-b302099a8057/"+strconv.Itoa(int(i))+"/1"))}})}
 wg.Wait(); el:=time.Since(t0).Seconds(); cmd.Process.Kill(); cmd.Wait()
 fmt.Println("wall", N/el, "server CPU µs/msg", (cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()).Seconds()*1e6/N)
}
