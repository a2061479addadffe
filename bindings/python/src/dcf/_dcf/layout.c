/* What Arrow's format strings mean for the shape of memory. */
#include <stdlib.h>

#include "dcf_python.h"

static LayoutInfo fixed(int64_t width) { return (LayoutInfo){kLayoutFixed, width}; }

LayoutInfo layout_of(const char* format) {
  switch (format[0]) {
    case 'n':
      return (LayoutInfo){kLayoutNull, 0};
    case 'b':
      return (LayoutInfo){kLayoutBool, 0};
    case 'c':
    case 'C':
      return fixed(1);
    case 's':
    case 'S':
    case 'e':
      return fixed(2);
    case 'i':
    case 'I':
    case 'f':
      return fixed(4);
    case 'l':
    case 'L':
    case 'g':
      return fixed(8);
    case 'z':
    case 'u':
      return (LayoutInfo){kLayoutBinary, 0};
    case 'Z':
    case 'U':
      return (LayoutInfo){kLayoutLargeBinary, 0};
    case 'v':
      if (format[1] == 'u' || format[1] == 'z') return (LayoutInfo){kLayoutView, 16};
      break;
    case 'w':
      if (format[1] == ':') return fixed(strtoll(format + 2, NULL, 10));
      break;
    case 'd': { /* d:precision,scale[,bits] */
      const char* comma = strchr(format, ',');
      comma = comma != NULL ? strchr(comma + 1, ',') : NULL;
      return fixed(comma != NULL ? strtoll(comma + 1, NULL, 10) / 8 : 16);
    }
    case 't':
      switch (format[1]) {
        case 'd': /* dates: days in 32 bits, milliseconds in 64 */
          return fixed(format[2] == 'D' ? 4 : 8);
        case 't': /* times of the day */
          return fixed(format[2] == 's' || format[2] == 'm' ? 4 : 8);
        case 's':
        case 'D':
          return fixed(8);
        case 'i': /* intervals */
          return fixed(format[2] == 'M' ? 4 : format[2] == 'D' ? 8 : 16);
        default:
          break;
      }
      break;
    case '+':
      switch (format[1]) {
        case 's':
          return (LayoutInfo){kLayoutStruct, 0};
        case 'l':
        case 'm': /* a map is a list of pairs */
          return (LayoutInfo){kLayoutList, 0};
        case 'L':
          return (LayoutInfo){kLayoutLargeList, 0};
        case 'w':
          return (LayoutInfo){kLayoutFixedList, strtoll(format + 3, NULL, 10)};
        case 'v':
          return (LayoutInfo){format[2] == 'L' ? kLayoutLargeListView : kLayoutListView, 0};
        case 'u':
          return (LayoutInfo){format[2] == 'd' ? kLayoutDenseUnion : kLayoutSparseUnion, 0};
        case 'r':
          return (LayoutInfo){kLayoutRunEnd, 0};
        default:
          break;
      }
      break;
    default:
      break;
  }
  return (LayoutInfo){kLayoutUnknown, 0};
}

char number_letter(const char* format) {
  static const char arrow[] = "cCsSiIlLefg";
  static const char letter[] = "bBhHiIqQefd";
  if (format[0] == 0 || format[1] != 0) return 0;
  const char* found = strchr(arrow, format[0]);
  return found != NULL ? letter[found - arrow] : 0;
}

bool value_is_null(const struct ArrowArray* array, int64_t i) {
  if (array->null_count == 0 || array->n_buffers == 0) return false;
  const uint8_t* validity = array->buffers[0];
  return validity != NULL && !bit_at(validity, array->offset + i);
}
