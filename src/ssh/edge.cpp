// One thread that accepts, starts processes and passes frames on; workers for what waits.
#include "ssh/edge.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <span>

#include "base/log.h"
#include "net/worker_pool.h"
#include "ssh/browser_frames.h"
#include "ssh/edge_connection.h"
#include "ssh/listening.h"

namespace merlon::ssh {
namespace {

constexpr size_t kWorkMax = 4096;
constexpr int kTickMs = 1000;
constexpr int kEventsMax = 256;            // of one look; what is left over comes with the next
constexpr size_t kReadBytes = 256 * 1024;  // at once, of one connection
constexpr size_t kReadSlowlyBytes = 16 * 1024;
constexpr Duration kStopWithin = std::chrono::seconds(3);
constexpr Duration kGraceMargin = std::chrono::seconds(15);

// Who counts as one: an address, or the /64 that one customer has of IPv6.
IpPrefix counted_as(const IpAddress& address) { return *IpPrefix::make(address, address.is_v4() ? 32 : 64); }

// A descriptor that can be given up.
Descriptor open_reserve() { return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

struct Failures {
  size_t count = 0;
  Duration since{};
};

class EdgeImpl final : public Edge {
 public:
  EdgeImpl(EdgeParameters parameters, Desk& desk, const Clock& clock)
      : parameters_(std::move(parameters)),
        clock_(clock),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        events_(::epoll_create1(EPOLL_CLOEXEC)),
        context_{.desk = desk,
                 .clock = clock_,
                 .limits = parameters_.limits,
                 .program = parameters_.program,
                 .work = [this](std::function<void()> work) { return workers_->submit(std::move(work)); },
                 .post = [this](std::function<void()> what) { post(std::move(what)); },
                 .failed = [this](const Source& source) { note_failure(source); },
                 .will_write = [this](int socket) { to_write_.push_back(socket); }} {}
  ~EdgeImpl() override { stop(); }

  Result<void> start() {
    for (const std::string& address : parameters_.listen) {
      std::string bound;
      listeners_.push_back(TRY(listen_on(address, bound)));
      addresses_.push_back(std::move(bound));
    }
    bool follows = follow(wake_.get(), EPOLLIN, EPOLL_CTL_ADD);
    for (const Descriptor& listener : listeners_)
      follows = follow(listener.get(), EPOLLIN, EPOLL_CTL_ADD) && follows;
    if (!follows) return internal_error(std::string("epoll: ") + std::strerror(errno));
    workers_ = std::make_unique<net::WorkerPool>("ssh desk", parameters_.limits.workers, kWorkMax);
    thread_ = std::make_unique<net::WorkerPool>("ssh edge", 1, 1);
    thread_->submit([this] { run(); });
    return {};
  }
  std::vector<std::string> addresses() const override { return addresses_; }
  size_t connections() const override { return count_.load(); }

  Result<int> serve(std::shared_ptr<Person> person, const Destination& to, const Source& source) override {
    return serve({std::move(person), to, false}, source);
  }
  Result<int> serve_ssh(std::shared_ptr<Person> person, const Destination& to,
                        const Source& source) override {
    return serve({std::move(person), to, true}, source);
  }

  Result<int> serve(Appointment appointment, const Source& source) {
    std::array<int, 2> pair{-1, -1};
    if (stopping_.load() || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
      return fail(ErrorKind::unavailable, "ServerStopping",
                  "The bastion's server stops, or has no room. Connect again later.");
    auto theirs = std::make_shared<Descriptor>(pair[0]);
    post([this, theirs, appointment = std::move(appointment), source] {
      begin_appointed(*theirs, appointment, source);
    });
    return pair[1];
  }

  void stop() override {
    if (!thread_) return;
    stopping_.store(true);
    wake();
    thread_->stop();
    workers_->stop();
    thread_.reset();
  }

 private:
  struct Entry {
    std::shared_ptr<EdgeConnection> connection;
    Duration began{};
    bool waits_to_write = false;  // epoll says when there is room
    bool is_slowed = false;       // nothing is read from it for a while
    bool was_slowed = false;
    uint32_t events() const {
      return (is_slowed ? 0U : uint32_t{EPOLLIN}) | (waits_to_write ? uint32_t{EPOLLOUT} : 0U);
    }
  };

  void wake() const {
    const uint64_t one = 1;
    static_cast<void>(::write(wake_.get(), &one, sizeof one));
  }
  void post(std::function<void()> what) {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(what));
    }
    wake();
  }

  void run() {
    std::optional<Duration> stop_at;
    while (!stopping_.load() || (!entries_.empty() && clock_.boottime() < *stop_at)) {
      poll_once();
      if (!stopping_.load() || stop_at) continue;
      stop_at = clock_.boottime() + kStopWithin;
      listeners_.clear();
      for (auto& [socket, entry] : entries_)
        entry.connection->notify(
            0, {true, "ServerStopping", "the bastion's server stops. Connect again later."});
    }
    while (!entries_.empty()) drop(entries_.begin()->first, "ServerStopping");
    run_posted();
  }

  bool follow(int descriptor, uint32_t what, int operation) const {
    epoll_event event{.events = what, .data = {.fd = descriptor}};
    return ::epoll_ctl(events_.get(), operation, descriptor, &event) == 0;
  }

  void poll_once() {
    write_what_is_there();
    std::array<epoll_event, kEventsMax>
        events;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
    const int count = ::epoll_wait(events_.get(), events.data(), kEventsMax, read_on());
    uint64_t woken = 0;
    static_cast<void>(::read(wake_.get(), &woken, sizeof woken));
    for (int i = 0; i < count; ++i) {
      const int descriptor = events[static_cast<size_t>(i)].data.fd;
      if (is_listener(descriptor))
        accept(descriptor);
      else
        serve(descriptor, events[static_cast<size_t>(i)].events);
    }
    run_posted();
    check_time();
  }

  bool is_listener(int descriptor) const {
    return std::ranges::any_of(listeners_, [&](const Descriptor& each) { return each.get() == descriptor; });
  }

  void run_posted() {
    std::vector<std::function<void()>> posted;
    {
      const std::lock_guard lock(mutex_);
      posted.swap(posted_);
    }
    for (const auto& what : posted) what();
  }

  void serve(int socket, uint32_t events) {
    const auto found = entries_.find(socket);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      const auto space = std::span(space_).first(entry.was_slowed ? kReadSlowlyBytes : kReadBytes);
      if (!entry.connection->read(space)) return drop(socket, "ClientClosed");
      if (!slow_down(socket, entry)) return drop(socket, "ClientClosed");
    }
    if ((events & EPOLLOUT) != 0) write(socket);
  }

  // Who says more than may be recorded in the time is not read from for a while; afterwards in small parts,
  // so that each while is short.
  bool slow_down(int socket, Entry& entry) {
    if (entry.is_slowed || entry.connection->wait() <= Duration(0)) return true;
    entry.is_slowed = entry.was_slowed = true;
    slowed_.push_back(socket);
    return follow(socket, entry.events(), EPOLL_CTL_MOD);
  }

  // Listens again to those who have waited long enough, or are told to end. In how many milliseconds to look
  // again.
  int read_on() {
    Duration next(kTickMs);
    std::vector<int> gone;
    std::erase_if(slowed_, [&](int socket) {
      const auto found = entries_.find(socket);
      if (found == entries_.end() || !found->second.is_slowed) return true;
      const Duration wait = found->second.connection->wait();
      next = std::min(next, wait > Duration(0) ? wait : next);
      if (wait > Duration(0)) return false;
      found->second.is_slowed = false;
      if (!follow(socket, found->second.events(), EPOLL_CTL_MOD)) gone.push_back(socket);
      return true;
    });
    for (const int socket : gone) drop(socket, "ClientClosed");
    return static_cast<int>(next.count());
  }

  void write_what_is_there() {
    std::vector<int> sockets;
    sockets.swap(to_write_);
    for (const int socket : sockets) write(socket);
  }

  // Whoever is not taken everything from is asked when there is room, and only then.
  void write(int socket) {
    const auto found = entries_.find(socket);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (!entry.connection->write()) return drop(socket, "ClientClosed");
    const bool waits = entry.connection->wants_to_write();
    if (waits == std::exchange(entry.waits_to_write, waits)) return;
    if (!follow(socket, entry.events(), EPOLL_CTL_MOD)) drop(socket, "ClientClosed");
  }

  void check_time() {
    const Duration now = clock_.boottime();
    if (now - checked_ < std::chrono::seconds(1)) return;
    checked_ = now;
    restore_reserve();
    std::vector<std::pair<int, std::string>> late;
    for (const auto& [socket, entry] : entries_) {
      if (!entry.connection->is_known() && now - entry.began > parameters_.limits.grace + kGraceMargin)
        late.emplace_back(socket, "NotSignedIn");
      else if (auto reason = entry.connection->overstays(now); reason)
        late.emplace_back(socket, *std::move(reason));
    }
    for (const auto& [socket, reason] : late) drop(socket, reason);
    std::erase_if(failures_, [&](const auto& each) {
      return now - each.second.since > parameters_.limits.failures_for;
    });
    std::erase_if(dying_, [](pid_t process) { return ::waitpid(process, nullptr, WNOHANG) != 0; });
  }

  // What its process had written already has been read: an end of file comes after it.
  void drop(int socket, std::string_view why) {
    const auto found = entries_.find(socket);
    const auto connection = found->second.connection;
    ::kill(connection->process(), SIGKILL);
    if (::waitpid(connection->process(), nullptr, WNOHANG) == 0) dying_.push_back(connection->process());
    connection->close(why);
    entries_.erase(found);
    count_.store(entries_.size());
  }

  void note_failure(const Source& source) {
    Failures& failures = failures_[counted_as(source.address)];
    if (failures.count++ == 0) failures.since = clock_.boottime();
  }

  bool has_failed_too_often(const Source& source) const {
    const auto failures = failures_.find(counted_as(source.address));
    return failures != failures_.end() && failures->second.count >= parameters_.limits.failures_max;
  }

  bool has_room(const Source& source) const {
    const IpPrefix from = counted_as(source.address);
    const auto all = static_cast<size_t>(std::ranges::count_if(
        entries_, [&](const auto& item) { return from.contains(item.second.connection->source().address); }));
    return entries_.size() < parameters_.limits.connections_max && all < parameters_.limits.per_source_max;
  }

  // Strangers decide how many of them come: those of one network, and all of them together, take no more than
  // a part of the room. Whom it is refused to in between is left to chance, so that who comes for a reason
  // gets in after some tries.
  bool has_room_for_stranger(const Source& source) const {
    const EdgeLimits& limits = parameters_.limits;
    const IpPrefix near = *IpPrefix::make(source.address, source.address.is_v4() ? 32 : 48);
    size_t strangers = 0, neighbours = 0;
    for (const auto& [socket, entry] : entries_) {
      if (entry.connection->is_known()) continue;
      ++strangers;
      if (near.contains(entry.connection->source().address)) ++neighbours;
    }
    if (strangers >= limits.unknown_max || neighbours >= limits.unknown_per_source_max) return false;
    if (strangers < limits.unknown_free) return true;
    const auto span = static_cast<uint32_t>(limits.unknown_max - limits.unknown_free);
    return ::arc4random_uniform(span) >= strangers - limits.unknown_free;
  }

  // Whoever is refused costs the log one line in ten seconds, with how many they were.
  void note_refused(const Source& source) {
    ++refused_;
    const Duration now = clock_.boottime();
    if (now < say_refused_at_) return;
    say_refused_at_ = now + std::chrono::seconds(10);
    log(LogLevel::warning,
        "SSH connections are refused: too many at once that nobody has signed in at, or too many failed "
        "sign-ins",
        {{"connections", std::exchange(refused_, 0)}, {"lastAddress", source.address.text()}});
  }

  void accept(int listener) {
    for (int count = 0; count < 64; ++count) {
      sockaddr_storage name{};
      socklen_t size = sizeof name;
      const Descriptor client(::accept4(listener, reinterpret_cast<sockaddr*>(&name), &size, SOCK_CLOEXEC));
      if (!client.is_open() && (errno == EMFILE || errno == ENFILE) && turn_away(listener)) continue;
      if (!client.is_open()) return;
      const Source source = source_of(name);
      if (has_failed_too_often(source) || !has_room(source) || !has_room_for_stranger(source)) {
        note_refused(source);
        continue;
      }
      begin(client, source, std::nullopt);
    }
  }

  // Without a descriptor left nobody can be accepted, and whoever waits to be would wake this thread again
  // and again. The reserve's is given to each in turn, who is sent away.
  bool turn_away(int listener) {
    reserve_ = Descriptor();
    Descriptor client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (client.is_open()) {
      ++turned_away_;
      client = Descriptor();
      reserve_ = open_reserve();
      return true;
    }
    if (errno != EMFILE && errno != ENFILE) return false;
    // Others were faster. Nobody is listened to for a moment.
    for (const Descriptor& each : listeners_) follow(each.get(), 0, EPOLL_CTL_MOD);
    listens_ = false;
    return false;
  }

  void restore_reserve() {
    if (!reserve_.is_open()) reserve_ = open_reserve();
    if (!std::exchange(listens_, true))
      for (const Descriptor& each : listeners_) follow(each.get(), EPOLLIN, EPOLL_CTL_MOD);
    if (const size_t count = std::exchange(turned_away_, 0); count != 0)
      log(LogLevel::warning, "SSH connections were turned away: the server has too many files open",
          {{"connections", count}});
  }

  // Nobody answers for a page's session but its frames, so a refusal is one.
  void begin_appointed(const Descriptor& client, const Appointment& appointment, const Source& source) {
    if (!stopping_.load() && has_room(source)) return begin(client, source, appointment);
    if (appointment.speaks_ssh) return;  // it is closed
    const std::string refusal = encode(
        BrowserFrame{BrowserFrameKind::end, 0,
                     to_text(JsonObject{{"code", "TooManySessions"},
                                        {"message",
                                         "Too many sessions run from your address. Close some, or try again "
                                         "later."}})});
    static_cast<void>(::send(client.get(), refusal.data(), refusal.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  }

  void begin(const Descriptor& client, const Source& source, std::optional<Appointment> appointment) {
    std::array<int, 2> pair{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return;
    Descriptor ours(pair[0]);
    const Descriptor theirs(pair[1]);
    const int yes = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(client.get(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    const pid_t process = parameters_.program.start(client, theirs);
    if (process < 0) {
      log(LogLevel::error, "the process of an SSH connection could not be started");
      return;
    }
    const int socket = ours.get();
    entries_[socket] = {
        std::make_shared<EdgeConnection>(context_, std::move(ours), source, process, std::move(appointment)),
        clock_.boottime()};
    count_.store(entries_.size());
    if (!follow(socket, EPOLLIN, EPOLL_CTL_ADD)) drop(socket, "NoRoom");
  }

  const EdgeParameters parameters_;
  const Clock& clock_;
  const Descriptor wake_;
  const Descriptor events_;    // epoll(7)
  std::vector<int> slowed_;    // sockets that are not read from for a while
  std::vector<int> to_write_;  // sockets of connections that have something for their processes
  EdgeContext context_;
  Descriptor reserve_ = open_reserve();
  size_t turned_away_ = 0;
  size_t refused_ = 0;
  Duration say_refused_at_{};
  bool listens_ = true;
  std::vector<Descriptor> listeners_;
  std::vector<std::string> addresses_;
  std::map<int, Entry> entries_;
  std::vector<char> space_ = std::vector<char>(kReadBytes);  // to read into, for all
  std::map<IpPrefix, Failures> failures_;
  std::vector<pid_t> dying_;
  Duration checked_{};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> stopping_ = false;
  std::atomic<size_t> count_ = 0;
  std::unique_ptr<net::WorkerPool> workers_;
  std::unique_ptr<net::WorkerPool> thread_;
};

}  // namespace

Result<std::unique_ptr<Edge>> Edge::start(EdgeParameters parameters, Desk& desk, const Clock& clock) {
  auto edge = std::make_unique<EdgeImpl>(std::move(parameters), desk, clock);
  TRY(edge->start());
  return edge;
}

}  // namespace merlon::ssh
