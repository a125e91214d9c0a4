// The inbox, as docs/inbox.md has it.

import java.sql.Connection;

interface Inbox {
    interface Work { void in(Connection store) throws Exception; }

    /** Does the work unless this event was handled before; whether it did. */
    static boolean once(Connection store, String handler, String source, String id, Work work) throws Exception {
        store.setAutoCommit(false);
        var enter = "INSERT INTO inbox (handler, source, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        try (var statement = store.prepareStatement(enter)) {
            statement.setString(1, handler);
            statement.setString(2, source);
            statement.setString(3, id);
            var entered = statement.executeUpdate() == 1;
            if (entered) work.in(store);
            store.commit();
            return entered;
        } catch (Exception e) {
            store.rollback();
            throw e;
        }
    }
}
