// Finds the declared route of a request. Literals compare without case; where two shapes fit, the one that is
// literal earlier wins, and a {+scope} loses to everything else; so what a path means never depends on the
// order of declarations.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "resource/route.h"

namespace merlon::resource {

class Router {
 public:
  // `index` is the caller's name for the route. Two routes of one method and shape are a bug and are checked.
  void add(const Route& route, size_t index);

  struct Match {
    bool found = false;                // a route, or at least a path
    std::optional<size_t> route;       // none: the method is not served, see `allowed`
    std::vector<std::string> allowed;  // without a route: the methods of this path, sorted
    std::map<std::string, std::string> parameters;
    // The leading segments that name the resource; what follows is an action or the name of a list.
    size_t id_segments = 0;
  };
  // `segments` are decoded. HEAD is answered by GET where it has no route of its own.
  Match find(std::string_view method, const std::vector<std::string>& segments) const;

 private:
  struct Segment {
    enum class Kind { literal, parameter } kind;
    std::string text;  // of a literal: lower case; of a parameter: its name
  };
  struct Shape {
    bool scoped = false;            // begins with {+scope}
    std::vector<Segment> segments;  // without the scope
    std::string order;              // sorts the shapes: literal before parameter
    size_t id_tail = 0;             // trailing segments that are not part of the id
    struct Method {
      size_t route;
      std::vector<std::string> names;  // of its parameters, in order
    };
    std::map<std::string, Method, std::less<>> methods;
  };
  static Shape compile(const std::string& path);
  static bool matches(const Shape& shape, const std::vector<std::string>& segments);

  std::map<size_t, std::vector<Shape>> plain_;  // by number of segments
  std::vector<Shape> scoped_;
};

}  // namespace merlon::resource
