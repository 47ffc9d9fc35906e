import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;

import java.io.IOException;

/** What the jobs need of an event. */
@JsonIgnoreProperties(ignoreUnknown = true)
public class Click {
    private static final ObjectReader READER = new ObjectMapper().readerFor(Click.class);

    public String visitor;
    public String type;
    /** When it happened, ms since the epoch. */
    public long ts;
    public Props props;

    /** The one property that a job looks at. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static class Props {
        public Long results;
    }

    /** An event from its JSON. */
    public static Click of(byte[] json) throws IOException {
        return READER.readValue(json);
    }

    /** A search without a result. */
    public boolean emptySearch() {
        return type.equals("search") && props != null && props.results != null && props.results == 0;
    }
}
