// A machine's kernel as far as Merlon's firewall meets it: one table of rules and of set elements with
// timeouts that count by a clock which stands still in suspend. It takes the same text as libnftables, in
// transactions, and says what it does to a packet. kernel_model_test holds it against the real one.
#pragma once

#include <deque>
#include <set>

#include "agent/firewall_kernel.h"
#include "agent/firewall_monitor.h"
#include "base/clock.h"
#include "simulate/kernel_rule.h"

namespace merlon::simulate {

// Rules read once for all histories of a worker; the same few hundred come again and again. Not thread-safe.
class RuleCache {
 public:
  Result<std::shared_ptr<const Rule>> get(const std::string& text);

 private:
  std::map<std::string, std::shared_ptr<const Rule>> rules_;
};

enum class KernelBug { none, keeps_elements, forgets_timeouts };  // for the test that the simulator notices

class KernelModel {
 public:
  // `running` is the machine's CLOCK_MONOTONIC.
  KernelModel(RuleCache& rules, std::function<Duration()> running)
      : rules_(rules), running_(std::move(running)) {}

  Result<std::string> run(const std::string& commands, agent::NftForm form);
  bool passes(const Packet& packet);
  bool has_table() const { return table_.has_value(); }
  // The latest that an element of a set of openings ends, by `running`; what is_near says when it is soon.
  bool ends_within(Duration margin) const;
  size_t open_elements() const;

  void flush_ruleset();  // by somebody else
  void start_anew();     // the machine boots: no table, no listener
  void have(KernelBug bug) { bug_ = bug; }

  // What a listener that knows of the first `seen` commits has not heard yet.
  agent::FirewallNews news_since(size_t seen) const;
  size_t commits() const { return commits_.size(); }

 private:
  struct Set {
    std::map<std::string, Duration> elements;  // key to the moment it ends
    Duration default_timeout{1000};
  };
  struct Chain {
    std::string hook;  // of a base chain
    std::vector<std::shared_ptr<const Rule>> rules;
  };
  struct Table {
    std::map<std::string, Chain> chains;
    std::map<std::string, Set> sets;
    std::map<std::string, int64_t> counters;
  };
  struct Commit {
    bool ours = false, removed = false;
  };
  struct Draft {  // of a transaction
    std::optional<Table> table;
    bool has_identities = false;
    Commit commit{};
    bool changes = false;
  };

  Result<std::string> run_line(Draft& draft, const std::string& line, agent::NftForm form);
  Result<void> add(Draft& draft, const std::vector<std::string>& words, const std::string& line);
  Result<void> remove(Draft& draft, const std::vector<std::string>& words, const std::string& line);
  Result<void> change_identities(Draft& draft, const std::vector<std::string>& words,
                                 const std::string& line);
  Result<void> change_elements(Draft& draft, const std::string& set, const std::string& line, bool add);
  Result<std::string> list(const Draft& draft, const std::string& line) const;
  RuleVerdict::Kind walk(const std::string& chain, const Packet& packet, unsigned depth);
  bool alive(Duration end) const;

  RuleCache& rules_;
  std::function<Duration()> running_;
  std::optional<Table> table_;
  bool has_identities_ = false;  // the table of redirections to identities, which no modelled packet meets
  std::deque<Commit> commits_;
  KernelBug bug_ = KernelBug::none;
};

// The kernel as an agent process holds it: both die with the process, the kernel does not.
class ModelNft final : public agent::NftBackend {
 public:
  // Called before and after each command: the place where a process may be killed, by an exception.
  using Interrupt = std::function<void()>;
  ModelNft(KernelModel& kernel, Interrupt interrupt) : kernel_(kernel), interrupt_(std::move(interrupt)) {}
  Result<std::string> run(const std::string& commands, agent::NftForm form) override;

 private:
  KernelModel& kernel_;
  Interrupt interrupt_;
};

class ModelEvents final : public agent::FirewallEvents {
 public:
  explicit ModelEvents(const KernelModel& kernel) : kernel_(kernel), seen_(kernel.commits()) {}
  int fd() const override { return -1; }
  Result<agent::FirewallNews> drain() override;

 private:
  const KernelModel& kernel_;
  size_t seen_;
};

}  // namespace merlon::simulate
